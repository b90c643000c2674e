"""scripts/trust: a release with an input gate out of one without."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from archive.inputs import sample_files
from archive.known import misjudged, record
from handler.pipeline import open_model
from handler.resources import plan
from progress.bars import Bars
from training.data.cases import DataError, data_folder
from training.release.drift import read_blocks
from training.trust.assemble import STEPS, Order, assemble, table

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


@app.command()
def main(
    release: Annotated[Path, typer.Argument(help="Folder of a release, such as model_store/brainseg-2.0.")],
    version: Annotated[str, typer.Option(help="Version of what is made of it, such as 2.1.")],
    out: Annotated[Path, typer.Option(help="Its folder, such as model_store/brainseg-2.1.")],
    data: Annotated[Path | None, typer.Option(help="Folder in the kaggle_3m layout; else BRAINSEG_DATA.")] = None,
    elsewhere: Annotated[
        Path | None, typer.Option(help="Folder with types, scans, native and regions: pictures of other sets.")
    ] = None,
    blocks: Annotated[
        Path | None, typer.Option(help="JSON of more of the trust block: of scripts/fit-quality and scripts/drift.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn by chance.")] = 2026,
    each: Annotated[int, typer.Option(help="Pictures of each kind that is refused.", min=8)] = 120,
    steps: Annotated[int, typer.Option(help="Of fitting; half a second each on one core.", min=20)] = STEPS,
) -> None:
    """Fits the gate, chooses its threshold on validation cases, judges it, and writes the new release."""
    bars = Bars(console)
    try:
        more = read_blocks(blocks) if blocks else {}
        card = assemble(Order(release, version, out, elsewhere, seed, each, steps, more), data_folder(data), bars)
    except (DataError, OSError, ValueError) as error:
        console.print(f"[bold red]trust:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    finally:
        bars.close()
    typer.echo(table(card.trust["gate"]["figures"]))
    for row in card.trust["gate"]["consequences"]:
        typer.echo(", ".join(f"{name}: {value}" for name, value in row.items()))
    typer.echo(f"released {card.name} {card.version} in {out}, threshold of the gate {card.trust['gate']['threshold']}")
    wrong = misjudged(record(open_model(out, "torch", plan().threads), sample_files()))
    typer.echo(f"samples: {'; '.join(wrong) or 'each gets the verdict it was drawn for'}")


if __name__ == "__main__":
    app()
