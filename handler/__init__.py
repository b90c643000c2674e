"""What runs in a TorchServe worker: bytes -> scan -> tensor -> probabilities -> mask, measurements, pictures -> answer.

Every stage is a module of its own that runs in a plain Python process; only :mod:`handler.service` knows TorchServe.
"""
