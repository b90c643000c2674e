"""Ctrl-C and SIGTERM end a run, and what started it can tell."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.processes import lives
from tests.training.conftest import ROOT, changed_recipe, command, first_checkpoint
from training.fit.told_to_end import ToldToEnd
from training.release.card import read_checkpoint

pytestmark = pytest.mark.training


@pytest.mark.parametrize(
    ("number", "devices", "status"),
    [
        (signal.SIGINT, 1, 130),
        (signal.SIGTERM, 1, 143),
        pytest.param(signal.SIGTERM, 2, 143, marks=pytest.mark.long),  # two processes, half a minute
    ],
)
def test_a_run_that_is_told_to_end_says_that_it_is_not_done(
    number: signal.Signals, devices: int, status: int, phantoms: Path, tmp_path: Path
) -> None:
    long = {"sampling.stages": [{"epochs": 1000, "window": [64, 64]}]}
    recipe = changed_recipe("smoke", tmp_path / "long.yaml", long)
    run = tmp_path / "run"
    arguments = command(
        "train", "--run", run, "--recipe", recipe, "--data", phantoms,
        "--accelerator", "cpu", "--threads", "1", "--devices", str(devices),
    )  # fmt: skip
    # Where the tests run in the background, SIGINT is ignored, and it would be in what they start.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    first_checkpoint(run)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    try:
        out, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == status, error
    assert f"train: stopped by {number.name}; the same command goes on after the last whole epoch" in error
    assert "Traceback" not in error
    assert "trained:" not in out
    assert not any(lives(child) for child in children)
    assert read_checkpoint(run / "last.ckpt").epochs < 1000


def test_a_run_in_the_background_is_deaf_to_the_terminal() -> None:
    told = ToldToEnd()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with told.listening():
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)  # the second leaves the ending alone
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGINT, before)
    assert told.signal == signal.SIGTERM


def test_what_python_swallowed_ends_the_run_at_the_next_batch() -> None:
    told = ToldToEnd()
    told.on_train_batch_end()  # nobody has told it anything
    with told.listening(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    for end_of_batch in (told.on_train_batch_end, told.on_validation_batch_end):
        with pytest.raises(KeyboardInterrupt):
            end_of_batch()
