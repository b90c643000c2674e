"""``scripts/prove``: shows what BrainSeg promises."""

from __future__ import annotations

import math
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from archive.store import MODEL_STORE, ROOT, default_version
from prove.mutate import MUTATORS
from prove.parts import PARTS
from prove.record import table
from prove.run import Wish, prove

console = Console(soft_wrap=True, highlight=False)
SEED = 20261128


def _counts(given: list[str]) -> dict[str, int]:
    found = {}
    for one in given:
        name, _, number = one.partition("=")
        if not number.isdigit() or not int(number):
            raise typer.BadParameter(f"got {one!r}, expected NAME=NUMBER, such as inputs=500", param_hint="--count")
        found[name] = int(number)
    return found


def main(
    parts: Annotated[list[str] | None, typer.Argument(help=f"{', '.join(PARTS)}; none: all.")] = None,
    short: Annotated[bool, typer.Option("--short", help="A little of everything, in minutes.")] = False,
    out: Annotated[Path, typer.Option(help="Where JSON, page and plots go.")] = ROOT / "artifacts" / "proof",
    seed: Annotated[int, typer.Option(help="What chance begins with.")] = SEED,
    count: Annotated[
        list[str] | None, typer.Option(help="NAME=NUMBER instead of a part's own amount, such as inputs=500.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(help="Of each part but doors and memory: stop after so long; the same command goes on.")
    ] = math.inf,
    decoder: Annotated[
        list[str] | None, typer.Option(help=f"Of fuzz, one or more of {', '.join(MUTATORS)}; else all.")
    ] = None,
    work: Annotated[
        Path, typer.Option(help="What turns of fuzz leave to the next: inputs that reached new code.")
    ] = ROOT / "artifacts" / "prove",
    again: Annotated[bool, typer.Option("--again", help="Also what is recorded in --out already.")] = False,
    model_store: Annotated[Path, typer.Option(help="Where the release is that is served.")] = MODEL_STORE,
    version: Annotated[str | None, typer.Option(help="The release; else the store's default.")] = None,
) -> None:
    """Show what BrainSeg promises, against servers that it starts: hours, minutes with --short. Goes on where it ended.

    Exit status: 0 all that could be tried holds, 1 a claim failed, 2 wrong use."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that servers it started end too
    try:
        served = version or default_version(model_store)
        places, own = (out.resolve(), work.resolve(), model_store.resolve()), _counts(count or [])
        wish = Wish(parts or [], *places, served, seed, short, again, own, minutes, decoder or [])
        done = prove(wish, lambda line: console.print(escape(line)))
    except (ValueError, FileNotFoundError) as error:
        raise typer.BadParameter(str(error)) from error
    for one in done:
        console.print(Markdown(f"## {one.part}\n\n{table(one.rows)}"))
    console.print(escape(f"written to {out}"))
    sys.exit(0 if all(one.passed for one in done) else 1)


if __name__ == "__main__":
    typer.run(main)
