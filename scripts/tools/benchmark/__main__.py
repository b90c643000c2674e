"""``scripts/benchmark``."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Annotated

import requests
import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import Progress

from handler.resources import PROFILES, Plan, plan
from samples.make import stack_tiff
from samples.phantom import draw_stack
from scripts.tools.archive import is_current, package
from scripts.tools.benchmark import report as reports
from scripts.tools.benchmark.engines import measure_engines
from scripts.tools.benchmark.load import Shot, run_load
from scripts.tools.benchmark.servers import Target, flask_peer, stock_store, torchserve_with, unpacked
from scripts.tools.java import find_java_home
from scripts.tools.places import MODEL_STORE, ROOT, SAMPLES, archive_path, release_folder, released_versions

console = Console(soft_wrap=True, highlight=False)
CLIENTS = (1, 2, 4, 8, 16)
STACK_PAGES = 40
WARM_UP = 3


def _shot(target: Target, data: bytes) -> Shot:
    begin = time.perf_counter()
    reply = target.send(data)
    reply.raise_for_status()
    seconds = time.perf_counter() - begin
    timing = reply.json().get("timing_ms")
    return Shot(seconds, timing["inference"] / 1000 if timing else None)


def _stack_seconds(target: Target) -> float | None:
    begin = time.perf_counter()
    reply = target.send(stack_tiff(draw_stack(5, STACK_PAGES)))
    seconds = time.perf_counter() - begin
    try:
        return seconds if len(reply.json()["slices"]) == STACK_PAGES else None
    except (KeyError, requests.JSONDecodeError):
        return None


def _measure(target: Target, requests_each: int, progress: Progress) -> reports.ServerResult:
    data = (SAMPLES / "lesion.png").read_bytes()
    for _ in range(WARM_UP):
        _shot(target, data)
    loads = []
    for clients in CLIENTS:
        progress.console.print(f"{target.name}: {clients} clients")
        loads.append(run_load(lambda: _shot(target, data), clients, max(requests_each, 3 * clients)))
    return reports.ServerResult(target.name, tuple(loads), target.worker_memory_mb(), _stack_seconds(target))


def _servers(versions: list[str], count: int, folder: Path, progress: Progress) -> list[reports.ServerResult]:
    java_home = find_java_home(console.print, ROOT / "constraints.txt")
    results = []
    for version in versions:
        for profile in PROFILES:
            name = f"BrainSeg {version}, {profile}"
            state = folder / f"{version}-{profile}"
            with torchserve_with(MODEL_STORE, version, plan(profile), java_home, state, name) as target:
                results.append(_measure(target, count, progress))
    first = release_folder(versions[0])
    store = stock_store(first, versions[0], folder)
    name = f"stock handler, eager ({versions[0]})"
    with torchserve_with(store, versions[0], Plan(1, plan().threads), java_home, folder / "stock", name) as target:
        results.append(_measure(target, count, progress))
    with flask_peer(first) as target:
        results.append(_measure(target, count, progress))
    return results


def main(
    output: Annotated[Path, typer.Option(help="Where benchmark.json, .md and .png go.")] = ROOT / "artifacts",
    rounds: Annotated[int, typer.Option(help="Rounds of the engine comparison.")] = 15,
    requests_each: Annotated[int, typer.Option("--requests", help="Requests for each number of clients.")] = 24,
) -> None:
    """Measure engines, servers and peers in one run. Takes some minutes; let the machine be quiet."""
    versions = released_versions()
    for version in versions:
        if not is_current(archive_path(version), release_folder(version)):
            package(release_folder(version), archive_path(version))
    with tempfile.TemporaryDirectory(prefix="brainseg-bench-") as temporary, Progress(console=console) as progress:
        folder = Path(temporary)
        folders = {v: unpacked(archive_path(v), folder / f"archive-{v}") for v in versions}
        task = progress.add_task("engines", total=rounds + 2)
        engines = measure_engines(folders, plan().threads, rounds, lambda: progress.advance(task))
        servers = _servers(versions, requests_each, folder, progress)
    result = reports.Report(reports.machine(), tuple(engines), tuple(servers))
    reports.write(result, output)
    console.print(Markdown(reports.markdown(result)))
    console.print(f"written to {output}")


if __name__ == "__main__":
    typer.run(main)
