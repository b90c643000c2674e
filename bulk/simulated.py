"""Nodes of a Ray cluster, simulated on this machine: what is measured and tested where there is no cluster."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bulk.cluster import VARIABLES, prepared

VARIABLE = "RAY_AUTH_TOKEN"
TOKEN = os.environ.get(VARIABLE) or secrets.token_hex(32)  # one a process: Ray 2.60.0 keeps the first that it reads


@contextmanager
def nodes(count: int) -> Iterator[Any]:
    """``ray.cluster_utils.Cluster``: a head without a CPU and ``count`` nodes of one CPU each, with the token
    :data:`TOKEN`. Its ``address`` is for :class:`bulk.cluster.Cluster`. Raises as :func:`bulk.cluster.prepared`."""
    ours = {**VARIABLES, VARIABLE: TOKEN}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    ray = prepared()
    found: Any = None
    try:
        from ray.cluster_utils import Cluster

        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        for _ in range(count):
            found.add_node(num_cpus=1)
        yield found
    finally:
        ray.shutdown()
        if found is not None:
            found.shutdown()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
