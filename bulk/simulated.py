"""Nodes of a Ray cluster, simulated on this machine: what is measured and tested where there is no cluster."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bulk.cluster import VARIABLES, prepared

TOKEN = "RAY_AUTH_TOKEN"  # noqa: S105  the variable's name


@contextmanager
def nodes(count: int, token: str = "") -> Iterator[Any]:
    """``ray.cluster_utils.Cluster``: a head without a CPU and ``count`` nodes of one CPU each, with a token of their
    own. Its ``address`` is for :class:`bulk.cluster.Cluster`. Raises as :func:`bulk.cluster.prepared`."""
    ours = {**VARIABLES, TOKEN: token or secrets.token_hex(32)}
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
