"""How idle OpenMP threads wait: ours sleep (scripts/bootstrap.sh says why); what we compare with is left as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_POLICY = "OMP_WAIT_POLICY"


@contextmanager
def default_waiting(wanted: bool = True) -> Iterator[None]:
    """Processes started inside get OpenMP's own way of waiting, if ``wanted``."""
    policy = os.environ.pop(_POLICY, None) if wanted else None
    try:
        yield
    finally:
        if policy is not None:
            os.environ[_POLICY] = policy
