"""``scripts/bulk-cost``: what a thousand scans cost, from the seconds in a table of ``scripts/bulk``."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from archive.store import MODEL_NAME
from brainseg_client.names import shown
from bulk.cost import cost_of, measured
from bulk.errors import BulkError

USAGE = 2


def main(
    out: Annotated[str, typer.Argument(help="Folder or address that scripts/bulk wrote to.")],
    core_hour: Annotated[float, typer.Option(min=0, help="Price of one core for one hour, in your currency.")],
    version: Annotated[str, typer.Option(help="Of the model, as its table is named.")],
    model: Annotated[str, typer.Option(metavar="NAME", help="A model beside the segmentation.")] = MODEL_NAME,
    busy: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of the paid time in which workers work; the rest is idle.")
    ] = 1.0,
) -> None:
    """Cost of a thousand scans, by the kind of scan: 1000 x mean seconds / 3600 / BUSY x CORE_HOUR."""
    try:
        found = cost_of(measured(out, version, model), core_hour, busy)
    except (BulkError, OSError) as error:
        Console(stderr=True).print(f"bulk-cost: {shown(str(error))}", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(USAGE) from error
    table = Table("scans", "measured", "core-seconds each", "core-hours a thousand", "price a thousand")
    for one in found:
        figures = (f"{one.core_seconds:.3f}", f"{one.core_hours:.3f}", f"{one.price:.4f}")
        table.add_row(*map(escape, (one.kind, str(one.scans), *figures)))
    Console(width=100).print(table)


if __name__ == "__main__":
    typer.run(main)
