"""A worker without memory says so, to whom it concerns alone, and goes on."""

from __future__ import annotations

import errno
import json
import threading
import weakref
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from handler import memory
from handler.decode import FORMATS
from handler.engines.ncnn_engine import NcnnEngine
from handler.pipeline import Model
from handler.resources import MOST_AT_ONCE
from prove.drawn.pictures import png
from samples.phantom import draw
from tests.contract import check_answer
from tests.handler.models import FLAIR_RULE, SmallEngine, model
from tests.handler.test_batch import ask, started

SCAN = png(draw(3, 0.08).image)
# As ONNX Runtime 1.30 and PyTorch 2.14 said it under a limit of their addresses, and others say it.
SAID = [
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    Exception("[ONNXRuntimeError] : 1 : FAIL : … Failed to allocate memory for requested buffer of size 12582912"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4718592 bytes. Error code 12"),
    RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("Exception from src/inference: std::bad_alloc"),
    RuntimeError("can't start new thread"),
]


class Starved(SmallEngine):
    """Raises ``error`` once, over a large array; ``held``: whether that is in memory still."""

    def __init__(self, error: Exception) -> None:
        super().__init__(FLAIR_RULE)
        self._errors = [error]
        self.held: Any = None

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._errors and threading.current_thread() is not threading.main_thread():
            large = np.zeros(1000)
            self.held = weakref.ref(large)
            raise self._errors.pop()
        return super().logits(images)


@pytest.mark.parametrize("error", SAID, ids=lambda error: type(error).__name__)
def test_it_is_said_to_whom_it_concerns(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Starved(error)
    running = started(monkeypatch, replace(model(FLAIR_RULE), engine=engine))
    context, bodies = ask(running, SCAN, SCAN)
    check_answer(bodies[0])
    refused = json.loads(bodies[1])
    assert (context.get_response_status(1)[0], refused["code"]) == (503, "out_of_memory")
    assert "smaller" in refused["detail"]
    error.__traceback__ = None  # this test's own hold of it
    assert engine.held() is None, "what it had is given back"
    _, again = ask(running, SCAN, SCAN)
    for body in again:
        check_answer(body)


def test_other_faults_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    running = started(monkeypatch, replace(model(FLAIR_RULE), engine=Starved(RuntimeError("shapes differ"))))
    context, bodies = ask(running, SCAN, SCAN)
    assert (context.get_response_status(1)[0], json.loads(bodies[1])["code"]) == (500, "internal_error")


@pytest.mark.parametrize(("short", "code"), [(True, "out_of_memory"), (False, "corrupt_image")])
def test_a_file_that_asks_for_more_than_there_is(
    flair: Model, short: bool, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken, unless memory is short whatever it asks for."""

    def read(*_: object) -> None:
        raise MemoryError

    (reader,) = (one for one in FORMATS if one.name == "png")
    monkeypatch.setattr("handler.decode.FORMATS", [SimpleNamespace(name="png", matches=reader.matches, read=read)])
    monkeypatch.setattr(memory, "is_short", lambda: short)
    _, (body,) = ask(started(monkeypatch, flair), SCAN)
    assert json.loads(body)["code"] == code


def test_memory_is_tried_by_asking_for_some(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not memory.is_short()

    def none_left(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("handler.memory.np.empty", none_left)
    assert memory.is_short()


def test_threads_are_there_before_memory_is_short(flair: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threading.enumerate())
    started(monkeypatch, flair)
    assert len(set(threading.enumerate()) - before) == MOST_AT_ONCE - 1


def test_ncnns_code_for_it() -> None:
    extractor = SimpleNamespace(input=lambda *_: None, extract=lambda _: (-100, None))
    engine = NcnnEngine.__new__(NcnnEngine)
    engine._network = SimpleNamespace(create_extractor=lambda: extractor)
    with pytest.raises(MemoryError):
        engine.logits(np.zeros((1, 3, 32, 32), np.float32))
