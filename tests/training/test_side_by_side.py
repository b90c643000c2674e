"""Recipes and folds on a Ray cluster: a task each, killed under way, and one table."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from archive.programs import environment
from archive.store import ROOT
from bulk.cluster import prepared
from bulk.errors import BulkError
from bulk.simulated import nodes
from scripts.commands import train_ray
from scripts.commands.train_ray import Job, jobs_of, row_of, side_by_side
from tests.waiting import until
from training.fit.run import LAST, LOG_FILE, LOGS


def test_each_recipe_with_each_fold(tmp_path: Path) -> None:
    jobs = jobs_of(tmp_path, ["cpu", "own/light.yaml"], 2, ["--threads", "1"])
    assert [job.name for job in jobs] == ["cpu-1of2", "cpu-2of2", "light-1of2", "light-2of2"]
    run = str(tmp_path / "light-2of2")
    assert jobs[-1].arguments == ("--run", run, "--recipe", "own/light.yaml", "--fold", "2/2", "--threads", "1")
    assert [job.name for job in jobs_of(tmp_path, ["cpu"], 0, [])] == ["cpu"]
    for recipes, more, said in ((["cpu", "own/cpu.yaml"], [], "same name"), (["cpu"], ["--fold=1/2"], "after --")):
        with pytest.raises(BulkError, match=said):
            jobs_of(tmp_path, recipes, 0, more)


def test_a_row_has_the_runs_own_figures(tmp_path: Path) -> None:
    logs = tmp_path / "a" / LOGS
    logs.mkdir(parents=True)
    (logs / LOG_FILE).write_text("epoch,train/loss_epoch,val/dice\n0,0.9,\n0,,0.5\n1,0.7,\n1,,0.4\n")
    (tmp_path / "a.log").write_text(f"{train_ray.TRIED}\nx\n{train_ray.TRIED}\n")
    row = row_of(Job("a", ()), tmp_path, train_ray.DONE, 1.25)
    assert (row.tries, row.loss, row.dice, row.best_dice) == (2, 0.7, 0.4, 0.5)
    empty = row_of(Job("b", ()), tmp_path, train_ray.FAILED, 0)
    assert (empty.tries, empty.loss, empty.dice) == (0, None, None)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes with a CPU each, beside a head without one."""
    for name, value in {**environment(), "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}"}.items():
        monkeypatch.setenv(name, value)
    with nodes(2) as found:
        ray = prepared()
        ray.init(found.address, log_to_driver=False, configure_logging=False)
        yield ray


@pytest.mark.training
@pytest.mark.long  # two trainings, and each node is half a dozen processes
def test_folds_side_by_side_and_one_killed(
    ray: Any, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process of the first one to have a checkpoint is killed: it goes on from there."""
    folder = tmp_path / "runs"
    folder.mkdir()
    more = ["--data", str(phantoms), "--accelerator", "cpu", "--threads", "1"]
    jobs = jobs_of(folder, ["smoke"], 2, more)
    killed: list[str] = []
    whole = ray.wait

    def working() -> list[tuple[str, psutil.Process]]:
        found = []
        for job in jobs:
            lock = folder / job.name / ".train.lock"
            text = lock.read_text() if lock.is_file() else ""
            if text.isdecimal() and (folder / job.name / LAST).is_file() and psutil.pid_exists(int(text)):
                found.append((job.name, psutil.Process(int(text))))
        return found

    def wait(references: list[Any], **options: Any) -> Any:
        if not killed:
            until(lambda: bool(working()), "nobody has a checkpoint")
            name, process = working()[0]
            os.kill(process.pid, signal.SIGKILL)
            killed.append(name)
        return whole(references, **options)

    monkeypatch.setattr(ray, "wait", wait)
    rows = side_by_side(ray, jobs, folder, 1)
    told = {row.run: row for row in rows}
    assert [row.state for row in rows] == [train_ray.DONE] * 2, (folder / f"{rows[0].run}.log").read_text()[-3000:]
    assert told[killed[0]].tries == 2
    assert [row.tries for row in rows if row.run != killed[0]] == [1]
    assert all(row.dice is not None and row.loss is not None for row in rows)
    written = json.loads((folder / train_ray.TABLE).read_text())
    assert [one["run"] for one in written] == ["smoke-1of2", "smoke-2of2"]
