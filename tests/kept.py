"""Where tests keep what takes long to fetch: packages of npm, environments of other people's programs."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

VARIABLE = "BRAINSEG_TESTS_KEEP"  # scripts/test names it: a run's own temporary files go with the run


def kept(name: str) -> Path:
    """The folder of that name, which outlives the run and need not be there yet."""
    return Path(os.environ.get(VARIABLE) or tempfile.gettempdir()) / f"brainseg-{name}"
