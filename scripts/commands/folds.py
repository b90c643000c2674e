"""``scripts/folds``: a cross-validation over all cases, each case judged by the one run that has not seen it."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from handler.files import write_atomic
from progress.bars import Bars
from settings.mapping import SettingsError
from training.data.cases import DataError, data_folder, find_pairs
from training.data.slices import LabelledSlice
from training.data.split import LeakError
from training.fit.start import StartWeightsError
from training.judge.folds import as_published, as_served, judge_part, read_runs, settings_of
from training.judge.folds_report import BEGIN, END, Folds, page, to_json
from training.judge.kinds import kinds_of
from training.judge.marks import put_between
from training.judge.predictor import SourceError

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False, soft_wrap=True)


@app.command()
def main(
    runs: Annotated[list[Path], typer.Argument(help="Folders of scripts/train --fold K/N --every-case, all N.")],
    out: Annotated[Path, typer.Option(help="Folder for folds.json; made when missing.")],
    data: Annotated[Path | None, typer.Option(help="Folder in the kaggle_3m layout; else BRAINSEG_DATA.")] = None,
    output: Annotated[Path | None, typer.Option(help="A page between whose marks the tables are written.")] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Some parts are missing: score the cases of those given, and say so.")
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; one for each core if not given.")] = None,
) -> None:
    """Scores RUNS as one: Dice a case beside the published figure, figures as for a release, the worst cases."""
    try:
        out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
        folds = _judged(runs, data_folder(data), partial, threads)
        write_atomic(out / "folds.json", (json.dumps(to_json(folds), indent=1) + "\n").encode())
        made = page(folds)
        if output:
            text = output.read_text("utf-8") if output.is_file() else "# Cross-validation\n"
            write_atomic(output, put_between(text, made, BEGIN, END).encode())
    except (DataError, SettingsError, SourceError, StartWeightsError, LeakError, OSError) as error:
        console.print(f"[bold red]folds:[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    typer.echo(made)
    typer.echo(f"wrote {out / 'folds.json'}" + (f" and {output}" if output else ""))


def _judged(folders: list[Path], data: Path, partial: bool, threads: int | None) -> Folds:
    if len(folders) < 2:
        raise SettingsError("expected 2 runs or more: what a part is judged by is chosen on the others")
    listing = find_pairs(data)
    runs = read_runs(folders, listing, partial)
    bars = Bars(console)
    try:
        parts = [judge_part(run, listing, bars, threads) for run in runs]
        advance = bars("choosing and scoring", len(parts))
        settings, published, served = {}, [], []
        for index, part in enumerate(parts):
            settings[part.run] = settings_of(parts, index)
            published += as_published(part)
            served += as_served(part, settings[part.run])
            advance()
    finally:
        bars.close()
    cases: dict[str, list[LabelledSlice]] = defaultdict(list)
    for item in (item for part in parts for item in part.slices):
        cases[item.pair.case].append(item)
    held = {part.run: run.split.test for part, run in zip(parts, runs, strict=True)}
    return Folds(runs[0].recipe.name, published, served, settings, kinds_of(cases), held, len(listing.cases))


if __name__ == "__main__":
    app()
