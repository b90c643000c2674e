"""What we compare ourselves with. Each does the published job in the ordinary way; neither is part of the product."""
