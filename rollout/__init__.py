"""Gated rollout: what ``scripts/deploy`` does, step by step.

``state`` is the truth of what is deployed, written before each step; ``recover`` brings a server back to it. A release
goes ``verify`` -> ``register`` -> ``gate`` -> ``promote`` -> ``watch`` -> ``drain``, each of them one module."""
