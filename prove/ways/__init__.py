"""The ways by which a scan comes in, one module each: what goes in is bytes, what comes back a status and a code."""

from __future__ import annotations

from prove.ways.way import Reply, Way

__all__ = ["Reply", "Way"]
