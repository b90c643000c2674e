"""``scripts/prove``: what BrainSeg promises, shown against a server that is started for it, each figure with its seed
and command. Beside the parts lie what they and the tests need: drawn scans, mutators, ways in. Never imports training,
rollout or tests.
"""
