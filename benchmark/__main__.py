"""``scripts/benchmark``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import requests
import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape

from archive.inputs import is_current
from archive.mar import package
from archive.store import MODEL_STORE, ROOT, SAMPLES, archive_path, default_version, release_folder, some_versions
from benchmark import against as both
from benchmark import report as reports
from benchmark.builds import served
from benchmark.compare import SHORT, Comparison, Effort
from benchmark.engines import measure_engines
from benchmark.load import Load, LoadResult, Shot, run_load, summarise
from benchmark.overnight import SHORT as SHORT_BULK
from benchmark.overnight import Amount, begun, measure_many, measure_rates
from benchmark.overnight import write as write_bulk
from benchmark.servers import Target, flask_peer, stock_store, torchserve_with, unpacked
from benchmark.waiting import default_waiting
from bulk.errors import BulkError
from handler.resources import Plan, plan
from progress.bars import Bars
from samples.make import stack_tiff
from samples.phantom import draw_stack
from serving.java import find_java_home

console = Console(soft_wrap=True, highlight=False)
STACK_PAGES = 40
WARM_UP = 25  # requests until Java has compiled what it runs often; before that it takes cores from the network
TURNS = 3


class Part(StrEnum):
    """Of ``--bulk``."""

    RATES = "rates"
    NODES = "nodes"
    MANY = "many"


def _shot(target: Target, data: bytes) -> Shot:
    begin = time.perf_counter()
    reply = target.send(data)
    reply.raise_for_status()
    seconds = time.perf_counter() - begin
    timing = reply.json().get("timing_ms")
    if timing is None:
        return Shot(seconds)
    return Shot(seconds, timing["inference"] / 1000, timing["render"] / 1000)


def _stack_seconds(target: Target, pages: bytes) -> float | None:
    begin = time.perf_counter()
    reply = target.send(pages)
    seconds = time.perf_counter() - begin
    try:
        return seconds if len(reply.json()["slices"]) == STACK_PAGES else None
    except (KeyError, requests.JSONDecodeError):
        return None


def _measure(targets: Sequence[Target], requests_each: int, bars: Bars) -> list[reports.ServerResult]:
    """All servers are up and take turns: for each number of clients :data:`TURNS` times a part of the requests, so that
    a busy minute of the machine hits all alike. Those whose turn it is not sleep."""
    data = (SAMPLES / "lesion.png").read_bytes()
    advance = bars("servers", len(targets) * len(reports.CLIENTS) * TURNS)
    for target in targets:
        for _ in range(WARM_UP):
            _shot(target, data)
    loads: dict[str, list[LoadResult]] = {target.name: [] for target in targets}
    for clients in reports.CLIENTS:
        parts: dict[str, list[Load]] = {target.name: [] for target in targets}
        for _ in range(TURNS):
            for target in targets:
                send = partial(_shot, target, data)
                parts[target.name].append(run_load(send, clients, max(requests_each // TURNS, 2 * clients)))
                advance()
        for name, turns in parts.items():
            loads[name].append(summarise(clients, turns))
    pages = stack_tiff(draw_stack(5, STACK_PAGES))
    return [
        reports.ServerResult(one.name, tuple(loads[one.name]), one.worker_memory_mb(), _stack_seconds(one, pages))
        for one in targets
    ]


def _servers(versions: list[str], ours: Path, count: int, folder: Path, bars: Bars) -> list[reports.ServerResult]:
    java_home = find_java_home(console.print, ROOT / "constraints.txt")
    with ExitStack() as running:
        targets = []
        for version in versions:
            server = torchserve_with(
                ours, version, plan(), java_home, folder / version, f"{reports.OURS_SERVED} {version}"
            )
            targets.append(running.enter_context(server))
        first = release_folder(versions[0], ours)
        store = stock_store(first, versions[0], folder)
        name = f"{reports.STOCK} ({versions[0]})"
        stock = torchserve_with(store, versions[0], Plan(1, plan().threads), java_home, folder / "stock", name)
        with default_waiting():
            targets.append(running.enter_context(stock))
            targets.append(running.enter_context(flask_peer(first, f"{reports.FLASK} ({versions[0]})")))
        return _measure(targets, count, bars)


def compare(
    folder: Path,
    output: Path,
    effort: Effort,
    stores: tuple[Path | None, Path | None] = (None, None),
    peer: bool = True,
) -> None:
    """Serves the build in ``folder`` and this one side by side, measures both in turns, writes and shows what came of
    it. ``stores``: their model stores, by default their own; ``peer``: measure Flask too."""
    with tempfile.TemporaryDirectory(prefix="bs-") as temporary, closing(Bars(console)) as bars, ExitStack() as running:
        states = [Path(temporary) / label for label in (both.THEN, both.NOW)]
        builds = [
            running.enter_context(served(label, checkout, state, store))
            for label, checkout, state, store in zip((both.THEN, both.NOW), (folder, ROOT), states, stores, strict=True)
        ]
        flask = None
        if peer:
            with default_waiting():
                release = release_folder(effort.first, stores[1] or MODEL_STORE)
                flask = running.enter_context(flask_peer(release, f"{reports.FLASK} ({effort.first})"))
        found = Comparison(builds, flask, effort, bars("builds", Comparison.turns(effort)))
        found.run()
    console.print(Markdown(both.write(found, effort, reports.machine(), output)))
    console.print(escape(f"written to {output}"))


def overnight(output: Path, store: Path, amount: Amount, parts: Sequence[Part]) -> None:
    """``--bulk``: each of ``parts`` of the default version. Goes on with what ``output`` has. Raises ``ValueError``
    where that is of something else, ``RuntimeError`` and :class:`BulkError` where something cannot be measured."""
    version = default_version(store)
    release, archive = release_folder(version, store), archive_path(version, store)
    if not is_current(archive, release):
        package(release, archive)
    found, machine = begun(output, version, amount), reports.machine()
    with tempfile.TemporaryDirectory(prefix="bs-") as temporary, closing(Bars(console)) as bars:
        folder = Path(temporary)

        def keeping(name: str, steps: int) -> Callable[[], None]:
            advance = bars(name, steps)

            def kept() -> None:
                write_bulk(found, machine, output)
                advance()

            return kept

        if Part.RATES in parts:
            with served("now", ROOT, folder / "state", store) as build:
                measure_rates(version, store, build, folder, found, keeping("rates", 3 * amount.turns))
        if Part.NODES in parts:
            from benchmark.nodes import measure_nodes  # wants Ray

            measure_nodes(version, store, folder, found, keeping("nodes", 2 * amount.turns))
        if Part.MANY in parts:
            measure_many(version, store, folder, found, keeping("many scans", 2))
    console.print(Markdown(write_bulk(found, machine, output)))
    console.print(escape(f"written to {output}"))


def main(
    output: Annotated[Path, typer.Option(help="Where JSON, Markdown and plots go.")] = ROOT / "artifacts",
    rounds: Annotated[int, typer.Option(help="Rounds of the engine comparison.")] = 15,
    requests_each: Annotated[int, typer.Option("--requests", help="Requests for each number of clients.")] = 30,
    model_store: Annotated[Path, typer.Option(help="Released weights and archives.")] = MODEL_STORE,
    against: Annotated[
        Path | None,
        typer.Option(help="Checkout of an earlier build: both are served side by side and measured in turns."),
    ] = None,
    short: Annotated[
        bool, typer.Option("--short", help="With --against or --bulk: one small round, to see that all runs.")
    ] = False,
    bulk: Annotated[
        bool, typer.Option("--bulk", help="Measure scripts/bulk; goes on with what OUTPUT/bulk.json has.")
    ] = False,
    part: Annotated[
        list[Part] | None,
        typer.Option(help="Of --bulk: rates (one core, pool, front door), nodes (Ray's), many (tiny scans); else all."),
    ] = None,
    turns: Annotated[int, typer.Option(min=1, help="Of --bulk: turns of rates and nodes.")] = Amount().turns,
) -> None:
    """Measure engines, servers and peers in one run. Takes some minutes; let the machine be quiet."""
    model_store = model_store.resolve()  # peers run in the project's folder
    if against is not None:
        try:
            compare(against, output, SHORT if short else Effort(), (None, model_store))
        except (ValueError, RuntimeError) as error:
            raise typer.BadParameter(str(error)) from error
        return
    if bulk:
        try:
            overnight(output, model_store, SHORT_BULK if short else replace(Amount(), turns=turns), part or list(Part))
        except (ValueError, RuntimeError, BulkError) as error:
            raise typer.BadParameter(str(error)) from error
        return
    try:
        versions = some_versions(model_store)
    except FileNotFoundError as error:
        raise typer.BadParameter(str(error)) from error
    archives = {version: archive_path(version, model_store) for version in versions}
    for version, archive in archives.items():
        release = release_folder(version, model_store)
        if not is_current(archive, release):
            package(release, archive)
    with tempfile.TemporaryDirectory(prefix="brainseg-bench-") as temporary, closing(Bars(console)) as bars:
        folder = Path(temporary)
        folders = {v: unpacked(archive, folder / f"archive-{v}") for v, archive in archives.items()}
        engines = measure_engines(folders, plan().threads, rounds, bars("engines", rounds + 2))
        servers = _servers(versions, model_store, requests_each, folder, bars)
    result = reports.Report(reports.machine(), tuple(engines), tuple(servers))
    reports.write(result, output)
    console.print(Markdown(reports.markdown(result)))
    console.print(escape(f"written to {output}"))


if __name__ == "__main__":
    typer.run(main)
