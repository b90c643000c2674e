"""The reason why a worker does not start is read from a log that TorchServe writes later than it answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollout import register
from rollout.register import Log

BEFORE = "2026-01-01T00:00:00,000 INFO  MODEL_LOG - ValueError: of a worker that is long gone\n"
LINE = "2026-01-01T00:00:01,000 INFO  MODEL_LOG - {}\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "torchserve.log"
    path.write_text(BEFORE)
    return path


@contextmanager
def _written(path: Path, seconds: float, *lines: str) -> Iterator[None]:
    """Adds ``lines`` one after the other, ``seconds`` before each."""

    def write() -> None:
        for line in lines:
            time.sleep(seconds)
            with path.open("a") as file:
                file.write(LINE.format(line))

    thread = threading.Thread(target=write)
    thread.start()
    yield
    thread.join()


def test_a_reason_that_comes_after_the_answer_is_waited_for(path: Path) -> None:
    log = Log(path)
    with _written(path, 1.0, "RuntimeError: a library is missing here"):
        assert log.fault() == ": RuntimeError: a library is missing here"


def test_of_an_error_that_led_to_another_the_last_is_told(path: Path) -> None:
    log = Log(path)
    with _written(path, register.POLL_SECONDS / 3, "ValueError: what it came from", "BrainSeg refuses to start: so"):
        assert log.fault() == ": BrainSeg refuses to start: so"


def test_without_a_reason_the_wait_has_an_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register, "LOG_SECONDS", 0.5)
    log = Log(path)
    with _written(path, 0.1, "Listening on port: /tmp/.ts.sock.9000"):
        assert log.fault() == ""


def test_a_release_that_refuses_is_known_at_once_and_one_that_crashes_the_second_time(path: Path) -> None:
    log = Log(path)
    assert log.refusal() == ""
    with path.open("a") as file:
        file.write(LINE.format("ValueError: no such engine"))
        file.flush()
        assert log.refusal() == ""
        file.write(LINE.format("ValueError: no such engine"))
        file.flush()
        assert log.refusal() == "ValueError: no such engine"
        file.write(LINE.format("BrainSeg refuses to start: weights have another digest"))
    assert log.refusal() == "BrainSeg refuses to start: weights have another digest"
