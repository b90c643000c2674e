"""Trust: whether a scan is what the model knows, and how good its mask can be expected to be."""
