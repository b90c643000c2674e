"""``scripts/train --ray``: recipes and folds side by side on a Ray cluster, a task each; run it again to go on."""

from __future__ import annotations

import csv
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bulk.cluster import prepared
from bulk.errors import BulkError
from handler.files import write_atomic
from training.fit.run import LAST, LOG_FILE, LOGS

TABLE = "side-by-side.json"
RETRIES = 20  # of a task whose process or node is lost; each goes on at its last checkpoint
TRIED = "side-by-side: a try begins"
DONE, FAILED = "trained", "failed"
console = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Job:
    """One training. ``arguments``: of ``scripts/train``, its folder included."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """What came of a job. ``tries``: how often it was begun; ``dice``: of the validation cases, the last and the best,
    None where nobody validates; ``loss``: of the last epoch that was trained."""

    run: str
    state: str
    tries: int
    minutes: float
    loss: float | None
    dice: float | None
    best_dice: float | None


def jobs_of(folder: Path, recipes: list[str], folds: int, more: list[str]) -> list[Job]:
    """Each recipe with each fold; without folds each recipe once. Raises :class:`BulkError` where two would share a
    folder, or where ``more`` has what is given here."""
    if wrong := {"--run", "--recipe", "--fold"} & {one.partition("=")[0] for one in more}:
        raise BulkError(f"{', '.join(sorted(wrong))} after -- is given by --run, --recipe and --folds before it")
    found = []
    for recipe in recipes:
        for fold in [f"{number}/{folds}" for number in range(1, folds + 1)] or [""]:
            name = Path(recipe).stem + (f"-{fold.replace('/', 'of')}" if fold else "")
            part = ("--fold", fold) if fold else ()
            found.append(Job(name, ("--run", str(folder / name), "--recipe", recipe, *part, *more)))
    if len({job.name for job in found}) < len(found):
        raise BulkError("two recipes have the same name; each needs a folder of its own")
    return found


def trained(job: Job, folder: str) -> int:
    """In a process of Ray's own: the exit status of ``scripts/train``. What it prints goes into a log beside its
    folder."""
    with (Path(folder) / f"{job.name}.log").open("ab", buffering=0) as log:
        log.write(f"{TRIED}\n".encode())
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    from scripts.commands.train import app

    return int(app(list(job.arguments), standalone_mode=False) or 0)


def _figures(path: Path) -> tuple[float | None, list[float]]:
    """The last epoch's loss, and each epoch's Dice on the validation cases."""
    if not path.is_file():
        return None, []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    losses, dice = ([float(row[name]) for row in rows if row.get(name)] for name in ("train/loss_epoch", "val/dice"))
    return (losses[-1] if losses else None), dice


def row_of(job: Job, folder: Path, state: str, minutes: float) -> Row:
    """What the job has left in ``folder``; ``minutes``: from the beginning of all."""
    loss, dice = _figures(folder / job.name / LOGS / LOG_FILE)
    log = folder / f"{job.name}.log"
    tries = log.read_text("utf-8", errors="replace").count(TRIED) if log.is_file() else 0
    last, best = (dice[-1], max(dice)) if dice else (None, None)
    return Row(job.name, state, tries, round(minutes, 1), loss, last, best)


def side_by_side(ray: Any, jobs: list[Job], folder: Path, cores: float) -> list[Row]:
    """Every job to its end; the table is written as each of them ends. A lost process or node is no end: Ray begins the
    task elsewhere, and the training goes on at its checkpoint."""
    task = ray.remote(num_cpus=cores, max_retries=RETRIES, retry_exceptions=False, max_calls=1)(trained)
    begin = time.monotonic()
    waiting = {task.remote(job, str(folder)): job for job in jobs}
    rows = []
    while waiting:
        (one,), _ = ray.wait(list(waiting), num_returns=1)
        job = waiting.pop(one)
        try:
            state = DONE if ray.get(one) == 0 and (folder / job.name / LAST).is_file() else FAILED
        except ray.exceptions.RayError as error:
            state = f"{FAILED}: {type(error).__name__}"
        rows.append(row_of(job, folder, state, (time.monotonic() - begin) / 60))
        rows.sort(key=lambda row: row.run)
        write_atomic(folder / TABLE, (json.dumps([asdict(row) for row in rows], indent=1) + "\n").encode())
        console.print(f"train: {job.name}: {state}, {len(waiting)} left", markup=False)
    return rows


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def main(
    run: Annotated[Path, typer.Option(help="Folder that all nodes see: a folder in it for each training.")],
    ray: Annotated[str, typer.Option(help="The cluster's address, host:port, or auto on one of its nodes.")],
    recipe: Annotated[list[str], typer.Option(help="A recipe's name or the path of a YAML file; may be repeated.")],
    folds: Annotated[int, typer.Option(min=0, help="Trains each recipe N times, as --fold 1/N … N/N.")] = 0,
    cores: Annotated[float, typer.Option(min=0.1, help="Of a node, for one training; give --threads too.")] = 1.0,
    more: Annotated[list[str] | None, typer.Argument(help="After --: options of scripts/train, for all.")] = None,
) -> None:
    """Trains recipes and folds side by side. Run it again to go on: what is trained is not trained again."""
    try:
        folder = run.absolute()
        jobs = jobs_of(folder, recipe, folds, more or [])
        folder.mkdir(parents=True, exist_ok=True)
        found = prepared()
        try:
            found.init(ray, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise BulkError(f"no Ray cluster answers at {ray}: {str(error)[:300]}") from error
        try:
            rows = side_by_side(found, jobs, folder, cores)
        finally:
            found.shutdown()
    except (BulkError, OSError) as error:
        console.print(f"train: {error}", markup=False)
        raise typer.Exit(2) from error
    table = Table("run", "state", "tries", "minutes", "loss", "val Dice", "best")
    for row in rows:
        figures = map(_shown, (row.loss, row.dice, row.best_dice))
        table.add_row(*map(escape, (row.run, row.state, str(row.tries), f"{row.minutes:.1f}", *figures)))
    Console(width=110).print(table)
    typer.echo(f"wrote {folder / TABLE}; the logs are beside it")
    raise typer.Exit(0 if all(row.state == DONE for row in rows) else 1)


if __name__ == "__main__":
    typer.run(main)
