"""The figures as JSON, as a Markdown table, as plots."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmark.engines import EAGER, OURS, OURS_CROPPED, EngineResult
from benchmark.load import LoadResult
from handler.files import write_atomic
from handler.resources import available_cores

OURS_SERVED, STOCK, FLASK = "BrainSeg", "stock handler, eager", "Flask and matplotlib"
CLIENTS = (1, 2, 4, 8, 16)
LIBRARIES = ("torch", "onnxruntime", "ncnn", "torchserve", "numpy", "pillow", "flask", "matplotlib")


@dataclass(frozen=True)
class ServerResult:
    """``stack_seconds``: the 40-page stack, None where the server takes no stacks; memory in MB."""

    name: str
    loads: tuple[LoadResult, ...]
    worker_memory_mb: float
    stack_seconds: float | None


@dataclass(frozen=True)
class Report:
    """All of one run."""

    machine: dict[str, Any]
    engines: tuple[EngineResult, ...]
    servers: tuple[ServerResult, ...]


def machine() -> dict[str, Any]:
    """What the figures depend on."""
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.processor(),
    )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": cpu,
        "cores": available_cores(),
        "avx512": "avx512f" in Path("/proc/cpuinfo").read_text(),
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.0f}"


def engine_table(results: Sequence[EngineResult]) -> str:
    """Markdown: forward pass by version and engine."""
    reference = next(r for r in results if r.name == EAGER)
    rows = [
        "| model | engine | share of the slice | ms | against eager | against 1st row |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {r.version} | {r.name} | {r.share:.0%} | {_ms(r.seconds)} | {r.ratio:.1f}x "
        f"| {reference.seconds / r.seconds:.1f}x |"
        for r in results
    ]
    return "\n".join(rows)


def server_table(results: Sequence[ServerResult]) -> str:
    """Markdown: requests by server and number of clients."""
    rows = [
        "| server | clients | p50 ms | p95 ms | p99 ms | requests/s | errors | outside forward ms | worker MB "
        "| 40-page stack s |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        for index, load in enumerate(result.loads):
            outside = "" if load.outside_forward_p50 is None else _ms(load.outside_forward_p50)
            last = ["", ""]
            if index == 0:
                stack = "" if result.stack_seconds is None else f"{result.stack_seconds:.1f}"
                last = [f"{result.worker_memory_mb:.0f}", stack]
            cells = [result.name, str(load.clients), _ms(load.p50), _ms(load.p95), _ms(load.p99)]
            cells += [f"{load.per_second:.2f}", str(load.errors), outside, *last]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def ratio_table(report: Report) -> str:
    """Markdown: what the figures above mean for each version, as ratios of one run where they are."""
    engines = {(r.version, r.name): r for r in report.engines}
    servers = {result.name: result for result in report.servers}
    flask = next(result for name, result in servers.items() if name.startswith(FLASK))
    versions = list(dict.fromkeys(r.version for r in report.engines))
    ours = [servers[f"{OURS_SERVED} {version}"] for version in versions]
    four = CLIENTS.index(4)
    first = engines[versions[0], OURS].seconds
    rows: dict[str, list[str]] = {
        "forward pass, the release's engine against PyTorch eager NCHW": [
            f"{engines[v, OURS].ratio:.1f}x" for v in versions
        ],
        "the same, as released (with its crop, if any)": [f"{engines[v, OURS_CROPPED].ratio:.1f}x" for v in versions],
        "one request, p50, against Flask": [f"{flask.loads[0].p50 / one.loads[0].p50:.1f}x" for one in ours],
        "requests a second, 4 clients, against Flask": [
            f"{one.loads[four].per_second / flask.loads[four].per_second:.1f}x" for one in ours
        ],
        "outside the forward pass, ms, 1 client": [_ms(one.loads[0].outside_forward_p50 or 0) for one in ours],
        "of these for mask and overlay": [f"{1000 * (one.loads[0].pictures_p50 or 0):.1f}" for one in ours],
        "resident memory of a worker, MB": [f"{one.worker_memory_mb:.0f}" for one in ours],
        f"forward pass, the release's engine, whole slice, against {versions[0]}": [
            f"{first / engines[v, OURS].seconds:.1f}x" for v in versions
        ],
    }
    head = [f"| | {' | '.join(versions)} |", "|---|" + "---|" * len(versions)]
    return "\n".join([*head, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())])


def markdown(report: Report) -> str:
    """The tables, and the machine they were measured on."""
    about = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    tables = [ratio_table(report), engine_table(report.engines), server_table(report.servers)]
    return "\n\n".join(["# Benchmark", about, *tables]) + "\n"


def plot(report: Report, path: Path) -> None:
    """Requests a second and p50 over the number of clients, a line a server, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(11, 4))
    for result in report.servers:
        clients = [load.clients for load in result.loads]
        axes[0].plot(clients, [load.per_second for load in result.loads], "o-", label=result.name)
        axes[1].plot(clients, [load.p50 for load in result.loads], "o-", label=result.name)
    axes[0].set(xlabel="clients", ylabel="requests a second")
    axes[1].set(xlabel="clients", ylabel="p50, s", yscale="log")
    axes[1].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def write(report: Report, folder: Path) -> None:
    """``benchmark.json``, ``benchmark.md`` and ``benchmark.png`` in ``folder``."""
    write_atomic(folder / "benchmark.json", (json.dumps(asdict(report), indent=2) + "\n").encode())
    write_atomic(folder / "benchmark.md", markdown(report).encode())
    plot(report, folder / "benchmark.png")
