"""Fixtures of the front door's tests: the detector's server, and front doors of one's own in front of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.detector import running_detector
from tests.front import Front
from tests.server import Server

StartFront = Callable[..., Front]


@pytest.fixture(scope="session")
def detector() -> Server:
    """A whole BrainSeg whose network marks what is bright in FLAIR; versions 1.0 and 2.0."""
    return running_detector()


@pytest.fixture(scope="session")
def door(detector: Server) -> str:
    """The front door's address."""
    return detector.door


@pytest.fixture
def start_front(detector: Server) -> Iterator[StartFront]:
    """Starts another front door before the detector's TorchServe; arguments as of ``web.server``."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> Front:
            front = Front(detector, arguments)
            stack.callback(front.stop)
            front.start()
            return front

        yield start
