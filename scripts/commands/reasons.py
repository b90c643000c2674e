"""``scripts/reasons``: do a release's explanations point at the tumour, and does its answer hang on it?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from handler.engines import ENGINES
from handler.files import write_atomic
from handler.pipeline import open_model
from progress.bars import counting
from training.data.cases import DataError, data_folder, find_pairs
from training.data.slices import load_slice
from training.data.split import SIDES
from training.judge.reasons import Row, judged, richest, table

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


def spread(names: Sequence[str], most: int) -> list[str]:
    """``most`` of ``names``, evenly over the list from its first; all where there are no more."""
    count = min(most, len(names))
    return [names[number * len(names) // count] for number in range(count)]


@app.command()
def main(
    release: Annotated[Path, typer.Argument(help="A released folder: card, weights, engine files where it has them.")],
    data: Annotated[Path | None, typer.Option(help="Folder in the kaggle_3m layout; else BRAINSEG_DATA.")] = None,
    side: Annotated[str, typer.Option(help="Whose cases; of each the slice with most tumour.")] = "test",
    engine: Annotated[str, typer.Option(help=f"{', '.join(ENGINES)} or auto.")] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="Of the processor.")] = 1,
    cases: Annotated[int | None, typer.Option(min=1, help="So many of them, spread over the list; else all.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON of a row a slice, method and question.")] = None,
) -> None:
    """Print a table: where the heat lies, what is left of the answer without it, and what a map costs."""
    try:
        if side not in SIDES:
            raise DataError(f"--side {side}: expected one of {', '.join(SIDES)}")
        model = open_model(release, engine, threads)
        held = set(model.card.data.get(side, ()))
        pairs = [pair for pair in find_pairs(data_folder(data)).pairs if pair.case in held]
        if not pairs:
            raise DataError(f"no slice of the {side} cases of {model.card.name} {model.card.version} in the data")
        names = sorted({pair.case for pair in pairs})
        names = spread(names, cases or len(names))
        slices = [richest([load_slice(pair) for pair in pairs if pair.case == name]) for name in names]
        with counting("explaining", len(slices), console) as advance:

            def keep(found: Sequence[Row]) -> None:
                advance()
                if out is not None:
                    write_atomic(out, (json.dumps([asdict(row) for row in found], indent=1) + "\n").encode())

            rows = judged(model, slices, keep)
    except (ValueError, OSError) as error:
        typer.echo(f"reasons: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{model.card.name} {model.card.version}, engine {model.engine.name}, {len(slices)} cases of {side}")
    for line in table(rows):
        typer.echo(line)


if __name__ == "__main__":
    app()
