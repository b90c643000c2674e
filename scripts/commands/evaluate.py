"""scripts/evaluate: judges weights, an archive, a checkpoint or a running server on one side of a split."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated

import requests
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from handler.files import write_atomic
from progress.bars import counting
from settings.mapping import SettingsError
from training.data.cases import DataError, Listing, Pair, data_folder, find_pairs
from training.data.seen import SPLIT_FILE, cases_seen_by, check_unseen
from training.data.slices import load_slices
from training.data.split import SIDES, LeakError, Split, read_split
from training.data.volumes import find_volumes, load_volume
from training.fit.start import StartWeightsError
from training.judge.evaluation import Report, evaluate, to_json
from training.judge.gallery import gallery
from training.judge.page import LEAK, report_page, trained_on
from training.judge.predictor import LocalPredictor, Predictor, SourceError, open_predictor
from training.judge.volumes import judge_volumes, volumes_json
from training.judge.volumes_page import figure_rows, volumes_page

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(stderr=True)


@app.command()
def main(
    source: Annotated[str, typer.Argument(help="A released folder, an archive, a .ckpt, or the URL of predictions.")],
    out: Annotated[Path, typer.Option(help="Folder for report.json and report.html; made when missing.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder of the data, as for scripts/train; else BRAINSEG_DATA.")
    ] = None,
    side: Annotated[str, typer.Option(help="train, validation, test, or all for every case of the folder.")] = "test",
    split: Annotated[Path | None, typer.Option(help="Split file; else that of the run or the model card.")] = None,
    slices: Annotated[bool, typer.Option(help="Show best and worst slices: the page then holds licensed data.")] = True,
    log: Annotated[
        Path | None, typer.Option(help="Training log (metrics.csv) to draw curves from.", exists=True, dir_okay=False)
    ] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Show the network whole slices, crop or not.")] = False,
    token_file: Annotated[Path | None, typer.Option(help="TorchServe's key_file.json, for a URL.")] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; one for each core if not given. Not for a URL.")
    ] = None,
) -> None:
    """Scores SOURCE by the metric policy and writes JSON and one self-contained HTML page into OUT."""
    try:
        if side not in (*SIDES, "all"):
            raise SettingsError(f"--side {side}: expected one of {', '.join(SIDES)}, all")
        out.mkdir(parents=True, exist_ok=True)  # before the work, not after it
        with ExitStack() as keep:
            predictor = open_predictor(source, keep, token=_token(token_file), threads=threads)
            if isinstance(predictor, LocalPredictor) and predictor.released_card.labelling:
                _volumes(predictor, data_folder(data), side, split, source, out)
                return
            if whole:
                predictor = _uncropped(predictor)
            chosen, leaks = _pairs(_told(find_pairs(data_folder(data))).pairs, side, split, source, predictor)
            with counting("reading slices", len(chosen), console) as advance:
                loaded = load_slices(chosen, advance)
            with counting("segmenting", len(loaded), console) as advance:
                report = evaluate(predictor, loaded, side, leaks, advance)
            shown = gallery(predictor, loaded, report.scores) if slices else []
    except requests.ConnectionError as error:
        said = f"no answer from {source}; is the server running (scripts/serve)?"
        console.print(f"[bold red]evaluate:[/] {escape(said)}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except (DataError, SettingsError, SourceError, StartWeightsError, LeakError, OSError) as error:
        console.print(f"[bold red]evaluate:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    write_atomic(out / "report.json", (json.dumps(to_json(report), indent=1) + "\n").encode())
    write_atomic(
        out / "report.html", report_page(report, _log_of(source, log), shown).encode(errors="backslashreplace")
    )
    _print(report)
    typer.echo(f"wrote {out / 'report.json'} and {out / 'report.html'}")


def _volumes(predictor: LocalPredictor, data: Path, side: str, split_file: Path | None, source: str, out: Path) -> None:
    """Judges a network of several classes on volumes in the layout of BraTS. Raises as :func:`_pairs` does."""
    card = predictor.released_card
    chosen, _ = _pairs(_told(find_volumes(data)).pairs, side, split_file, source, predictor)
    folders = {pair.case: pair.image.parent for pair in chosen}
    labels = {int(value): int(label) for value, label in card.recipe["masks"]}
    loads = [partial(load_volume, case, folder, labels) for case, folder in folders.items()]
    with counting("segmenting volumes", len(loads), console) as advance:
        scores = judge_volumes(predictor.engine, card, loads, card.recipe["patients"], advance)
    report = volumes_json(predictor.name, card, side, scores)
    write_atomic(out / "report.json", (json.dumps(report, indent=1) + "\n").encode())
    write_atomic(out / "report.html", volumes_page(report).encode(errors="backslashreplace"))
    table = Table("part", "kind", "Dice", "HD95 mm", "patients", "cases", "missed", "false", title=escape(side))
    for row in figure_rows(report["figures"]):
        table.add_row(*map(escape, (f"{one:.3f}" if isinstance(one, float) else str(one) for one in row)))
    Console().print(table)
    typer.echo(f"wrote {out / 'report.json'} and {out / 'report.html'}")


def _told(listing: Listing) -> Listing:
    for line in listing.left_out():
        console.print(f"evaluate: {escape(line)}", highlight=False, soft_wrap=True)
    return listing


def _uncropped(predictor: Predictor) -> Predictor:
    """The same without the crop to the head. Raises SourceError for a server, whose card is its own."""
    if not isinstance(predictor, LocalPredictor):
        raise SourceError("--whole needs the weights themselves; expected a released folder, an archive or a .ckpt")
    return predictor.with_card(predictor.released_card.with_changes(crop=None))


def _pairs(
    pairs: tuple[Pair, ...], side: str, split_file: Path | None, source: str, predictor: Predictor
) -> tuple[tuple[Pair, ...], bool]:
    """The pairs to judge and whether their split, or that of the training, leaks. Raises DataError if none is left, and
    LeakError where cases that are to choose or to judge were trained on though the splits do not say so."""
    card = predictor.card
    trained_by_slice = card is not None and bool(card.data.get("split", {}).get("leaks"))
    if side == "all":
        return pairs, trained_by_slice
    split = _split(split_file, source, predictor)
    leaks = split.leaks or trained_by_slice
    if not split.side(side):  # as in a refit, which has been trained on its validation cases
        raise DataError(f"no slice of the {side} side to judge: the split has no such case; take another --side")
    chosen = split.present(pairs, side)
    seen = cases_seen_by(card) if card else None
    if seen and side != "train" and not leaks:
        check_unseen(source, seen, split, (side,))
    return chosen, leaks


def _split(split_file: Path | None, source: str, predictor: Predictor) -> Split:
    beside = Path(source).parent / SPLIT_FILE
    if split_file is None and source.endswith(".ckpt") and beside.is_file():
        split_file = beside
    if split_file is not None:
        return read_split(split_file)
    if predictor.card is None or "split" not in predictor.card.data:
        raise DataError("no split known for this source; pass --split FILE, or --side all for every case")
    data = predictor.card.data
    return Split(data["split"]["by"], data["split"]["seed"], *(tuple(data[side]) for side in SIDES))


def _log_of(source: str, log: Path | None) -> Path | None:
    return log or (Path(source).parent / "logs" / "metrics.csv" if source.endswith(".ckpt") else None)


def _token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        key: str = json.loads(file.read_text("utf-8"))["inference"]["key"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{file}: no inference key in it; expected the key_file.json that TorchServe writes"
        ) from error
    return key


def _print(report: Report) -> None:
    if report.leaks:
        console.print(f"[bold red]{escape(LEAK)}[/]")
    table = Table("figure", "value", "95 % interval", "slices", "cases", title=escape(f"{report.model}, {report.side}"))
    for figure in report.figures:
        ends = "-" if figure.low is None else f"{figure.low:.3f} to {figure.high:.3f}"
        value = "-" if figure.value is None else f"{figure.value:.3f}"
        table.add_row(*map(escape, (figure.name, value, ends, str(figure.slices), str(figure.cases))))
    Console().print(table)
    if report.trained_on:
        console.print(escape(trained_on(report)))


if __name__ == "__main__":
    app()
