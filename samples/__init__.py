"""Sample scans: phantoms, and the code that draws them."""
