"""A release's weights into the files of each engine, proof that it computes the same, and which one serves fastest."""
