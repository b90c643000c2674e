"""Ray as the executor: nodes of a cluster, simulated on this machine, that are killed under way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from archive.programs import environment
from bulk import simulated
from bulk.cluster import VARIABLES, Cluster, RemoteWorker
from bulk.row import LOST
from bulk.run import Options, Summary, Watching, run
from tests.bulk.conftest import Bulk, draw, files_of, lasting, rows
from tests.bulk.poisoned import POISON
from tests.bulk.poisoned_actor import PoisonedActor

pytestmark = pytest.mark.long  # a minute: each node is half a dozen processes


@pytest.fixture(scope="module")
def nodes() -> Iterator[Any]:
    """A head without a CPU, and two nodes with one each."""
    with simulated.nodes(2) as found:
        yield found


def on_ray(
    bulk: Bulk, nodes: Any, source: Path, out: Path, kind: type[RemoteWorker], show: Callable[[int], None]
) -> Summary:
    @contextmanager
    def shown(_total: int) -> Iterator[Callable[[int, int], None]]:
        yield lambda done, _refused: show(done)

    executor = Cluster(nodes.address, bulk.setup(out), bulk.opened, 2, kind)
    return run(Options(str(source), str(out)), bulk.opened, executor, Watching(shown, bulk.lines.append))


def test_a_lost_node_and_a_poison(bulk: Bulk, nodes: Any, tmp_path: Path) -> None:
    """A node goes, another comes, a scan kills its actor twice: every other result is there once, as undisturbed."""
    source, out = draw(tmp_path / "in", 24), tmp_path / "out"
    bulk.alone(source, tmp_path / "calm")
    (source / "00012a.png").write_bytes(POISON)

    def show(done: int) -> None:
        if done == 5:
            nodes.remove_node(sorted(nodes.worker_nodes, key=str)[0], allow_graceful=False)
            nodes.add_node(num_cpus=1)

    summary = on_ray(bulk, nodes, source, out, PoisonedActor, show)
    assert (summary.done, summary.lost, summary.refused, summary.left) == (25, 1, 1, 0)
    (guilty,) = [row for row in rows(out) if row["error_code"]]
    assert (guilty["error_code"], Path(guilty["path"]).name) == (LOST, "00012a.png")
    good = [lasting(row) for row in rows(out) if row is not guilty and not row["error_code"]]
    assert good == list(map(lasting, rows(tmp_path / "calm")))
    assert files_of(out) == files_of(tmp_path / "calm")


def test_nothing_is_reported_and_no_dashboard_runs(nodes: Any) -> None:
    from ray._common.usage import usage_lib

    assert not usage_lib.usage_stats_enabled()
    with pytest.MonkeyPatch.context() as patch:  # the switch that is thrown is the one that counts
        patch.setenv("RAY_USAGE_STATS_ENABLED", "1")
        assert usage_lib.usage_stats_enabled()
    assert not nodes.webui_url


def test_a_stranger_without_the_token_is_not_let_in(nodes: Any) -> None:
    code = "import sys, ray; ray.init(sys.argv[1], log_to_driver=False); print(ray.cluster_resources())"
    for token, expected in ((simulated.TOKEN, True), ("f" * 64, False)):
        done = subprocess.run(
            [sys.executable, "-c", code, nodes.address],
            env={**environment(), **VARIABLES, simulated.VARIABLE: token},
            capture_output=True, timeout=300, check=False,
        )  # fmt: skip
        assert (done.returncode == 0) is expected, done.stderr.decode()[-2000:]
