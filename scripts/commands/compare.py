"""scripts/compare: two trainings on the same cases, figure by figure, case by case, slice by slice."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from handler.files import write_atomic
from training.judge.compare import CompareError, Comparison, compare, read_both, to_json
from training.judge.compare_page import compare_page, interval, only_lines, who

MOST_CASES = 10
WIDTH = 120  # of tables that no terminal shows
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


@app.command()
def main(
    first: Annotated[Path, typer.Argument(help="A run's folder, a released folder, or a report.json of either.")],
    second: Annotated[Path, typer.Argument(help="Another; differences are the second less the first.")],
    side: Annotated[
        str | None, typer.Option(help="train, validation, test or all; else the first that both reports have.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for compare.json and compare.html with plots.")] = None,
) -> None:
    """Compares two trainings by their reports, with 95 % intervals over the cases that both judged."""
    try:
        found = compare(*read_both((first, second), side))
        if out:
            out.mkdir(parents=True, exist_ok=True)
            write_atomic(out / "compare.json", (json.dumps(to_json(found), indent=1) + "\n").encode())
            write_atomic(out / "compare.html", compare_page(found).encode(errors="backslashreplace"))
    except (CompareError, OSError) as error:
        console.print(f"[bold red]compare:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    _print(found)
    if out:
        typer.echo(f"wrote {out / 'compare.json'} and {out / 'compare.html'}")


def _print(found: Comparison) -> None:
    for which, judged in (("first ", found.first), ("second", found.second)):
        typer.echo(f"{which}: {who(judged)}")
    for line in only_lines(found):
        typer.echo(line)
    screen = Console(width=None if sys.stdout.isatty() else WIDTH)
    figures = Table("figure", "first", "second", "difference", "95 % interval", "slices", "cases")
    for figure in found.figures:
        numbers = [
            "-" if value is None else format(value, kind)
            for value, kind in ((figure.first, ".3f"), (figure.second, ".3f"), (figure.difference, "+.3f"))
        ]
        figures.add_row(figure.name, *numbers, interval(figure) or "-", str(figure.slices), str(figure.cases))
    screen.print(figures)
    cases = Table("case", "slices", "first", "second", "difference", title=f"Dice by case, {found.first.side}")
    for case, slices, one, two in found.cases[:MOST_CASES]:
        cases.add_row(escape(case), str(slices), f"{one:.3f}", f"{two:.3f}", f"{two - one:+.3f}")
    screen.print(cases)
    if len(found.cases) > MOST_CASES:
        typer.echo(f"the {MOST_CASES} most changed of {len(found.cases)} cases; --out writes all")


if __name__ == "__main__":
    app()
