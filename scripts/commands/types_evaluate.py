"""``scripts/types-evaluate``: the figures of classifiers on what was held out from them, into docs/types.md."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.markup import escape
from safetensors.torch import load_file

from handler.classifier import Classifier
from handler.encode import png
from handler.files import write_atomic
from settings.mapping import SettingsError, from_mapping
from training.data.cases import DataError
from training.types.compare import compare
from training.types.features import tensor_of_grids
from training.types.figures import Judged, figures, read_judged
from training.types.heat import Look, drawn, grad_cam, look
from training.types.page import compared_section, heat_section, put, section
from training.types.recipe import TypesRecipe
from training.types.run import PREDICTIONS, RUN_FILE, WEIGHTS
from training.types.slices import find_slices, read_grids

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True, highlight=False, soft_wrap=True)
BATCH = 32


def _description(run: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((run / RUN_FILE).read_text("utf-8"))
        _ = found["recipe"]["name"], found["by"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{run} is no run of scripts/types-train: {error}") from error
    return found


def _looks(run: Path, data: Path, most: int, pictures: Path | None) -> list[Look]:
    """Of the slices that a run has held out, at most `most` of each class, evenly over their list; drawn into the
    folder `pictures`."""
    recipe = from_mapping(TypesRecipe, _description(run)["recipe"], RUN_FILE)
    held = set(read_judged([run / PREDICTIONS]).names)
    network = Classifier(recipe.architecture)
    network.load_state_dict(load_file(run / WEIGHTS), strict=False)
    network.eval()
    found: list[Look] = []
    for kind in recipe.classes:
        own = [item for item in find_slices(data, (kind,)) if item.name in held and item.box]
        own = own[:: max(1, -(-len(own) // most))]
        for begin in range(0, len(own), BATCH):
            items = own[begin : begin + BATCH]
            grids = read_grids(data, items, recipe.input)
            heats = grad_cam(network, tensor_of_grids(grids, recipe), [recipe.classes.index(kind)] * len(items))
            for item, grid, heat in zip(items, grids, heats, strict=True):
                if pictures is not None and item.box is not None:
                    write_atomic(pictures / f"{kind}-{item.number}.png", png(drawn(grid, heat, item.box)))
            found += [look(item, heat) for item, heat in zip(items, heats, strict=True)]
    return found


def _groups(runs: Sequence[Path]) -> dict[tuple[str, str], list[Path]]:
    groups: dict[tuple[str, str], list[Path]] = {}
    for run in runs:
        described = _description(run)
        groups.setdefault((described["recipe"]["name"], described["by"]), []).append(run)
    return groups


def _section(recipe: str, by: str, judged: Judged, apart: Sequence[str]) -> str:
    leaks = ", which leaks: a patient is on both sides" if by == "slice" else ""
    there = [kind for kind in apart if kind in judged.classes]
    return section(f"Recipe {recipe}, parts by {by}{leaks}", judged, figures(judged, there)) + "\n"


@app.command()
def main(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs that held a part out.")],
    data: Annotated[
        Path | None, typer.Option(help="The pictures, for where it looks; without them that is left out.")
    ] = None,
    output: Annotated[Path, typer.Option(help="The page whose figures are written.")] = Path("docs/types.md"),
    looks: Annotated[int, typer.Option(min=1, help="Slices of a class and part that are looked at, at most.")] = 60,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for what was looked at, drawn: heat over the slice, the box in white.")
    ] = None,
    apart: Annotated[
        list[str] | None, typer.Option(help="A class that counts in its own recall alone; may be repeated.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Judges RUNS, those of one recipe and split together, by their held-out slices; recipes with parts by patient are
    compared with the first one named."""
    torch.set_num_threads(threads)
    try:
        if pictures is not None and data is None:
            raise DataError("--pictures draws what was looked at: give --data too")
        made, first = ["\n"], None
        groups = _groups(runs)
        of = {which: read_judged([folder / PREDICTIONS for folder in folders]) for which, folders in groups.items()}
        if unknown := set(apart or []) - {kind for judged in of.values() for kind in judged.classes}:
            raise DataError(f"--apart {min(unknown)}: none of these runs has that class")
        for (recipe, by), folders in groups.items():
            judged = of[recipe, by]
            made.append(_section(recipe, by, judged, apart or []))
            if by == "patient" and first is not None:
                compared = compare(first[1], judged, apart or [])
                made.append(compared_section(first[0], recipe, compared) + "\n")
            elif by == "patient":
                first = recipe, judged
            if data is not None and by == "patient" and recipe == _groups(runs[:1]).popitem()[0][0]:
                seen = [one for folder in folders for one in _looks(folder, data, looks, pictures)]
                made.append(heat_section(seen) + "\n")
        page = output.read_text("utf-8") if output.is_file() else "# Tumour types\n"
        write_atomic(output, put(page, "".join(made)).encode())
    except (DataError, SettingsError, OSError) as error:
        console.print(f"[bold red]types-evaluate:[/] {escape(str(error))}")
        raise typer.Exit(1) from error
    typer.echo(f"written: {output}")


if __name__ == "__main__":
    app()
