"""``scripts/drift``: what a server has seen lately against what its model card expects, and how the card knows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from handler.engines import ENGINES
from handler.files import write_atomic
from handler.pipeline import open_model
from progress.bars import counting
from rollout.errors import NoServerError
from rollout.find import find_state
from training.data.cases import DataError, data_folder, find_pairs
from training.data.seen import cases_seen_by, check_unseen
from training.data.split import SIDES, LeakError, Split
from training.judge.drift import StateError, drift_page, read_window
from training.release.drift import DriftError, add_block, reference

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
console = Console(stderr=True)


@app.callback()
def main() -> None:
    """Drift: the scans of the last days against the validation cases. No scan is kept for it."""


@app.command("page")
def page_command(
    out: Annotated[Path, typer.Option(help="The HTML file to write.")],
    state: Annotated[Path | None, typer.Option(help="The server's state folder; the running server's if none.")] = None,
) -> None:
    """Write a page of tables and plots, and print a line for each version and quantity."""
    try:
        windows = read_window(find_state(state))
        write_atomic(out, drift_page(windows).encode())
    except (StateError, NoServerError, OSError) as error:
        typer.echo(f"drift: {error}", err=True)
        raise typer.Exit(1) from error
    for window in windows.versions:
        for line in window.lines():
            typer.echo(line)
    typer.echo(f"wrote {out}")


@app.command("reference")
def reference_command(
    release: Annotated[Path, typer.Argument(help="A released folder: card, weights, engine files where it has them.")],
    out: Annotated[Path, typer.Option(help="JSON of a trust block; `drift` is added to it.")],
    data: Annotated[Path | None, typer.Option(help="Folder in the kaggle_3m layout; else BRAINSEG_DATA.")] = None,
    side: Annotated[str, typer.Option(help="Whose slices: validation, as a rule.")] = "validation",
    engine: Annotated[str, typer.Option(help=f"{', '.join(ENGINES)} or auto.")] = "torch",
) -> None:
    """Count what the network of RELEASE says of the slices of one side, for the block trust.drift of its card."""
    try:
        if side not in SIDES:
            raise DataError(f"--side {side}: expected one of {', '.join(SIDES)}")
        model = open_model(release, engine, 2)
        held = model.card.data
        if "split" not in held:
            raise DataError(f"{release}: its card names no split; expected a release of scripts/release")
        split = Split(held["split"]["by"], held["split"]["seed"], *(tuple(held[one]) for one in SIDES))
        if side != "train" and not split.leaks and (seen := cases_seen_by(model.card)):
            check_unseen(str(release), seen, split, (side,))
        pairs = split.present(find_pairs(data_folder(data)).pairs, side)
        if not pairs:
            raise DataError(f"no slice of the {side} side in the data; take another --side")
        with counting("segmenting", len(pairs), console) as advance:
            block = reference(model, pairs, side, advance)
        add_block(out, block)
    except (DataError, DriftError, LeakError, ValueError, OSError) as error:
        typer.echo(f"drift: {error}", err=True)
        raise typer.Exit(1) from error
    typer.echo(f"{out}: trust.drift over {block['slices']} slices of {block['cases']} cases")


if __name__ == "__main__":
    app()
