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

from handler.files import write_atomic
from handler.resources import available_cores
from scripts.tools.benchmark.engines import EngineResult
from scripts.tools.benchmark.load import LoadResult

LIBRARIES = ("torch", "ncnn", "torchserve", "numpy", "pillow", "flask", "matplotlib")


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
    reference = next(r for r in results if r.name.startswith("torch eager, NCHW"))
    rows = ["| model | engine | ms | against eager | against 1st row |", "|---|---|---|---|---|"]
    rows += [
        f"| {r.version} | {r.name} | {_ms(r.seconds)} | {r.ratio:.1f}x | {reference.seconds / r.seconds:.1f}x |"
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


def markdown(report: Report) -> str:
    """Both tables, and the machine they were measured on."""
    about = ", ".join(f"{name} {value}" for name, value in report.machine.items())
    return "\n\n".join(["# Benchmark", about, engine_table(report.engines), server_table(report.servers)]) + "\n"


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
