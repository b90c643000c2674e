"""``scripts/encoders``: the table of networks that can be packaged, docs/networks.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from archive.networks import ROUNDS, Row, survey
from handler.engines import ENGINES
from handler.files import write_atomic
from handler.network import DECODERS

ENCODERS = (
    "resnet18", "mit_b0", "efficientnet-b0", "mobilenet_v2", "tu-convnext_tiny", "resnet34", "densenet121", "vgg16",
    "timm-mobilenetv3_large_100", "tu-tf_efficientnet_lite0", "tu-regnety_016", "se_resnet50",
)  # fmt: skip
LIBRARIES = ("segmentation-models-pytorch", "timm", "torch", *(name for name in ENGINES if name != "torch"))
HEAD = """# Networks that can be packaged

Made by `scripts/encoders`, which packages each with random weights: converted, compared with PyTorch, measured.
A recipe names a network by `model.decoder` and `model.encoder`; `scripts/import-checkpoint` finds both by the tensors.

In a cell: milliseconds of processor time for a lone slice of 256x256 on one thread (the least of {rounds}), megabytes
of the engine's files (PyTorch runs the float16 weights themselves), and how far a probability is from PyTorch's at
most. A dash is explained below the table.

{networks} of {every} networks (the command goes on where it ended), measured until {date}, {cores} cores that others
used too (load {low:.1f} to {high:.1f}), so times are rather too long than too short. {versions}.

"""
console = Console(soft_wrap=True, highlight=False)


def wanted(decoders: Sequence[str], encoders: Sequence[str]) -> list[tuple[str, str]]:
    """The networks in the order in which they are tried: every encoder and every decoder once, then the rest."""
    first = [(decoders[0], encoder) for encoder in encoders]
    others = [(decoder, encoder) for encoder in encoders for decoder in decoders[1:]]
    return [*first, *others]


def main(
    output: Annotated[Path, typer.Option(help="The page; what was measured lies beside it as JSON lines.")] = Path(
        "docs/networks.md"
    ),
    decoder: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    encoder: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None,
    limit_seconds: Annotated[float, typer.Option(help="For one network on all engines.", min=1)] = 600.0,
) -> None:
    """Package networks of segmentation_models_pytorch with random weights for each engine, and write what came of it.

    What is in OUTPUT's JSON lines already is not tried again: end it and run it again to go on."""
    if unknown := sorted(set(decoder or ()) - DECODERS.keys()):
        console.print(f"[red]no decoder {escape(', '.join(unknown))}[/red]: expected {escape(', '.join(DECODERS))}")
        raise typer.Exit(1)
    kept = output.with_suffix(".jsonl")
    networks = wanted(decoder or list(DECODERS), encoder or ENCODERS)
    for number, network in enumerate(networks, 1):
        known = {row.engine for row in _read(kept) if row.network == network}
        left = [engine for engine in ENGINES if engine not in known]
        if not left:
            continue
        load = os.getloadavg()[0]
        rows = survey(*network, limit_seconds, left)
        lines = [json.dumps({**asdict(row), "load": round(load, 1)}) for row in rows]
        before = kept.read_text(encoding="utf-8") if kept.exists() else ""
        write_atomic(kept, (before + "\n".join(lines) + "\n").encode())
        write_atomic(output, page(kept).encode())
        can = ", ".join(row.engine for row in rows if not row.reason) or "none"
        console.print(escape(f"{number} of {len(networks)}: {'-'.join(network)}: {can}"))
    write_atomic(output, page(kept).encode())
    console.print(escape(f"wrote {output}"))


def _entries(kept: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.exists() else []


def _read(kept: Path) -> list[Row]:
    return [Row(**{name: value for name, value in entry.items() if name != "load"}) for entry in _entries(kept)]


def page(kept: Path) -> str:
    """The page of what the JSON lines ``kept`` say."""
    rows, loads = _read(kept), [entry["load"] for entry in _entries(kept)]
    networks = list(dict.fromkeys(row.network for row in rows))
    versions = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    head = HEAD.format(
        rounds=ROUNDS,
        networks=len(networks),
        every=len(wanted(list(DECODERS), ENCODERS)),
        date=datetime.now(UTC).date().isoformat(),
        cores=os.cpu_count(),
        low=min(loads, default=0),
        high=max(loads, default=0),
        versions=versions,
    )
    return head + "\n".join([*_table(networks, rows), "", "## Why not", "", *_reasons(rows)]) + "\n"


def _table(networks: Iterable[tuple[str, str]], rows: Sequence[Row]) -> list[str]:
    found = {(row.network, row.engine): row for row in rows}
    lines = [f"| decoder | encoder | {' | '.join(ENGINES)} |", "|---|---" + "|---" * len(ENGINES) + "|"]
    order = list(DECODERS)
    for network in sorted(networks, key=lambda one: order.index(one[0])):
        cells = [_cell(found.get((network, engine))) for engine in ENGINES]
        lines.append(f"| {network[0]} | {network[1]} | {' | '.join(cells)} |")
    return lines


def _cell(row: Row | None) -> str:
    if row is None:
        return "not tried"
    if row.milliseconds is None:
        return "-"
    apart = "" if row.engine == "torch" else f", {row.difference:.0e}"
    return f"{row.milliseconds:.0f} ms, {row.megabytes:.0f} MB{apart}"


def _reasons(rows: Sequence[Row]) -> list[str]:
    by_reason: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    networks: dict[tuple[str, str], dict[str, list[str]]] = {}
    for row in rows:
        if row.reason:
            networks.setdefault(row.network, {}).setdefault(row.reason, []).append(row.engine)
    for network, reasons in networks.items():
        for reason, where in reasons.items():
            by_reason.setdefault((reason, tuple(where)), []).append("-".join(network))
    lines = []
    for (reason, engines), names in by_reason.items():
        told = "no engine" if len(engines) == len(ENGINES) else f"not {', '.join(engines)}"
        lines.append(f"- {', '.join(names)}: {told}: `{reason.replace('`', chr(39))}`")
    return lines or ["Every network on every engine."]


if __name__ == "__main__":
    typer.run(main)
