"""Processes seen from outside."""

from __future__ import annotations

import psutil


def lives(process: psutil.Process) -> bool:
    """A zombie is dead: it only waits for the machine's first process to notice."""
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
