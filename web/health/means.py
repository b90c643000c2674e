"""What the front door lives on and could run out of, as gauges: TorchServe's tokens, the disk of the state folder."""

from __future__ import annotations

import shutil
from pathlib import Path

from web.health.metrics import Metrics, Rows
from web.way.torchserve import TorchServe


def show_means(metrics: Metrics, server: TorchServe, state: Path | None) -> None:
    """``state``: None shows no disk."""
    metrics.gauges(
        "brainseg_front_token_expires_seconds",
        "When TorchServe's token runs out, in seconds since 1970; 0: not, or nobody knows",
        ("kind",),
        lambda: [({"kind": kind}, when) for kind, when in server.token_ends().items()],
    )
    metrics.gauges(
        "brainseg_front_disk_free_bytes", "What is free where the folder lies", ("folder",), lambda: _free(state)
    )


def _free(state: Path | None) -> Rows:
    try:
        return [({"folder": "state"}, float(shutil.disk_usage(state).free))] if state else []
    except OSError:
        return []
