"""scripts/inspect-data: what a data set holds and what is wrong with it, as JSON and a page of plots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from handler.files import write_atomic
from progress.bars import counting
from training.data.cases import DataError, data_folder, find_pairs
from training.data.inspection import inspect, inspection_page, summary

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


@app.command()
def main(
    out: Annotated[Path, typer.Option(help="Folder for inspection.json and inspection.html; made when missing.")],
    data: Annotated[Path | None, typer.Option(help="Folder in the kaggle_3m layout; else BRAINSEG_DATA.")] = None,
) -> None:
    """Reads every pair of the data set. Exit code 2 when a pair is broken or a file has no partner."""
    try:
        listing = find_pairs(data_folder(data))
        out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
        with counting("reading slices", len(listing.pairs), console) as advance:
            found = inspect(listing, advance)
        facts = summary(found)
        write_atomic(out / "inspection.json", (json.dumps(facts, indent=1) + "\n").encode())
        write_atomic(out / "inspection.html", inspection_page(found).encode(errors="backslashreplace"))
    except (DataError, OSError) as error:
        console.print(f"[bold red]inspect-data:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    _print(facts)
    problems = [*found.broken, *found.missing]
    for problem in problems:
        console.print(f"[yellow]problem:[/] {escape(str(problem))}", highlight=False, soft_wrap=True)
    typer.echo(f"wrote {out / 'inspection.json'} and {out / 'inspection.html'}")
    if problems:
        raise typer.Exit(2)


def _print(facts: dict[str, object]) -> None:
    typer.echo(f"{facts['pairs']} pairs of {facts['cases']} cases; {facts['with_tumour']} with tumour, "
               f"{facts['without_tumour']} without")  # fmt: skip
    if facts["with_tumour"]:
        mean, least, most = (facts[f"area_percent_{name}"] for name in ("mean", "least", "most"))
        typer.echo(f"tumour area, % of the slice: mean {mean:.2f}, least {least:.3f}, most {most:.1f}")


if __name__ == "__main__":
    app()
