"""scripts/fit-quality: what is to be expected of masks, from what networks say of cases that they have not seen."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from handler.card import ModelCard, read_card
from progress.bars import Bars
from training.data.cases import DataError, Pair, data_folder, find_pairs
from training.judge.predictor import SourceError
from training.release.drift import add_block
from training.trust.expect import LEVEL, fit
from training.trust.expectation import crossed_figures, judge
from training.trust.witness import Asked, Slices, listen

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)
FITTED, JUDGING = ("train", "validation"), ("test",)


@app.command()
def main(
    release: Annotated[Path, typer.Argument(help="The released folder whose masks are to be expected of.")],
    witness: Annotated[
        list[str],
        typer.Option(help="A released folder or fold's checkpoint that has not seen some cases; may be repeated."),
    ],
    out: Annotated[Path, typer.Option(help="JSON of a trust block; `quality` is added to it, for scripts/trust.")],
    data: Annotated[Path | None, typer.Option(help="Folder in the kaggle_3m layout; else BRAINSEG_DATA.")] = None,
    cache: Annotated[Path | None, typer.Option(help="Keeps what networks said, for the next run.")] = None,
    test: Annotated[bool, typer.Option("--judge", help="Judge on the test cases: once, at the very end.")] = False,
    second: Annotated[str | None, typer.Option(help="With --judge: another network, whose masks are compared.")] = None,
) -> None:
    """Fits expected Dice, floors and intervals of the tumour's size. Minutes, most of them for the networks to run."""
    bars = Bars(console)
    try:
        card, pairs = read_card(release), find_pairs(data_folder(data)).pairs
        with tempfile.TemporaryDirectory(prefix="brainseg-quality-") as folder:
            kept = cache or Path(folder)
            heard = [listen(Asked(source, card), FITTED, pairs, kept, bars) for source in witness]
            block: dict[str, Any] = {**fit(heard), "figures": {"crossed": crossed_figures(heard, LEVEL)}}
            if test:
                block["figures"]["test"] = _judged(release, card, block, second, pairs, kept, bars)
        add_block(out, block, "quality")
    except (DataError, SourceError, OSError, ValueError) as error:
        console.print(f"[bold red]fit-quality:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    finally:
        bars.close()
    typer.echo(json.dumps({name: block[name] for name in ("weights", "floor", "interval", "figures")}, indent=1))
    typer.echo(f"written: {out}")


def _judged(
    release: Path,
    card: ModelCard,
    block: dict[str, Any],
    second: str | None,
    pairs: tuple[Pair, ...],
    cache: Path,
    bars: Bars,
) -> dict[str, Any]:
    def said(source: str) -> Slices:
        return listen(Asked(source, card), JUDGING, pairs, cache, bars)

    return judge(block, said(str(release)), said(second) if second else None)


if __name__ == "__main__":
    app()
