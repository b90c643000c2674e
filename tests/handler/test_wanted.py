"""A worker stops between slices once nobody waits, and shows that it works while somebody does."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from handler import pipeline
from handler.pipeline import Model, answer
from handler.wanted import FOLDER_VARIABLE, UnwantedError, asker
from prove.drawn.pictures import tiff

NAME = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


def test_a_file_that_is_there_is_touched_and_one_that_is_not_ends_the_work(folder: Path) -> None:
    path = folder / NAME
    path.touch()
    os.utime(path, (0, 0))
    ask = asker({"X-Wanted": NAME})
    ask()
    assert path.stat().st_mtime > 0
    path.unlink()
    with pytest.raises(UnwantedError):
        ask()


@pytest.mark.parametrize("value", ["", "../" + NAME, NAME + "/x", NAME.upper() + "g", 7, None])
def test_what_is_no_name_is_wanted(folder: Path, value: object) -> None:
    asker({"x-wanted": value})()


def test_without_a_folder_everything_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    asker({"x-wanted": NAME})()


def test_the_network_stops_between_slices(folder: Path, flair: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / NAME).touch()
    run: list[int] = []
    logits = flair.engine.logits

    def counted(tensor: object) -> object:
        run.append(1)
        if len(run) == 2:
            (folder / NAME).unlink()
        return logits(tensor)  # type: ignore[arg-type]

    monkeypatch.setattr(type(flair.engine), "logits", lambda _self, tensor: counted(tensor))
    monkeypatch.setattr(flair.engine, "batch", 2)
    stack = tiff(np.full((20, 64, 64), 128, np.uint8))
    outcome = answer(flair, {"body": bytearray(stack)}, {"X-Wanted": NAME, "X-BrainSeg-Outputs": "none"})
    assert outcome.code == "gone"
    assert len(run) == 2
    assert outcome.answer.status == 504


def test_what_waited_too_long_in_the_queue_is_not_begun(
    folder: Path, flair: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "parse_request", lambda *_: pytest.fail("it was decoded"))
    assert answer(flair, {"body": bytearray(b"x")}, {"X-Wanted": NAME}).code == "gone"
