"""Every code block of the README and of docs/ runs as printed, but for the ports and the state folder of the test's
server. A block after an HTML comment ``<!-- not run: reason -->`` is left out, one after ``<!-- long: reason -->`` runs
with ``./scripts/test --long``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from archive.store import BESIDE, ROOT, release_folder, released_versions
from prove.server import Server

pytestmark = pytest.mark.server
BLOCK = re.compile(
    r"(?:<!-- (?P<when>not run|long): (?P<why>[^>]+) -->\n)?```(?P<language>bash|python)\n(?P<code>.*?)```", re.DOTALL
)


@dataclass(frozen=True)
class Block:
    name: str
    language: str
    code: str
    when: str | None
    why: str | None


def blocks() -> list[Block]:
    found = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text()
        for match in BLOCK.finditer(text):
            line = text[: match.start("code")].count("\n") + 1
            found.append(Block(f"{page.name}:{line}", match["language"], match["code"], match["when"], match["why"]))
    return found


BLOCKS = blocks()
RUN = [block for block in BLOCKS if block.when != "not run"]


def adapted(code: str, server: Server) -> str:
    """The same code for a server on other ports, with another state folder."""
    ports = {8000: server.port, 8080: server.inference_port, 8081: server.management_port, 8082: server.metrics_port}
    for printed, actual in ports.items():
        code = re.sub(rf"(127\.0\.0\.1|localhost):{printed}\b", rf"\1:{actual}", code)
    # Beside the servers of other tests it has to be told which.
    code = re.sub(r"scripts/deploy (status|history)", rf"scripts/deploy \1 --state {server.state}", code)
    for command in ("package", "bulk"):  # the server's archives, or each would make them once more
        code = code.replace(f"scripts/{command} ", f"scripts/{command} --model-store {server.store} ")
    return code.replace("scripts/token", f"scripts/token --state {server.state}").replace(".run/", f"{server.state}/")


@pytest.fixture
def store(server: Server) -> Path:
    """The server's model store, with the models beside the segmentation too: packaged where a block names one."""
    for model in BESIDE:
        for version in released_versions(model=model):
            link = release_folder(version, server.store, model)
            if not link.exists():
                link.symlink_to(release_folder(version, model=model))
    return server.store


def test_the_pages_have_blocks_that_run() -> None:
    assert len([block for block in RUN if block.when is None]) >= 8
    assert all(len(block.why) > 5 for block in BLOCKS if block.why is not None)


@pytest.mark.parametrize(
    "block",  # the page says why one is long
    [pytest.param(b, id=b.name, marks=[pytest.mark.long] if b.when else []) for b in RUN],
)
@pytest.mark.usefixtures("store")
def test_block_runs(block: Block, server: Server, tmp_path: Path) -> None:
    code = adapted(block.code, server)
    command = ["bash", "-euo", "pipefail", "-c", code] if block.language == "bash" else [sys.executable, "-c", code]
    environment = {
        **os.environ,
        "BRAINSEG_URL": server.door,
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}",
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{block.code}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert '"status": 4' not in done.stdout
