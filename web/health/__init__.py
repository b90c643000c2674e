"""Which versions stand, who is ready, what is counted."""
