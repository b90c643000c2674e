"""``scripts/benchmark``: ratios measured in one run on one machine, ours against two peers."""
