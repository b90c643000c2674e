"""The pod of the manifests runs here: the very command, environment, user and probes, with a read-only root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.deploy.inside import start
from tests.deploy.manifests import KSERVE, KUBERNETES, build, pods, unpack_kubectl
from tests.sharing import shared_folder
from tests.waiting import until

pytestmark = pytest.mark.server


# Both take the same way; the second start shows a manifest more.
@pytest.mark.parametrize("name", ["volume", pytest.param("kserve", marks=pytest.mark.long)])
def test_the_pod_starts_answers_its_probes_and_ends(
    name: str, packaged: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kubectl = shared_folder(tmp_path_factory, "kubectl", unpack_kubectl) / "kubectl"
    resources = build(kubectl, KSERVE if name == "kserve" else KUBERNETES / name)
    (pod,) = [dict(pod) for resource in resources for pod in pods(resource)]
    (tmp_path / "keys").write_text("ward a-key-of-24-characters-00\n")
    one: dict[str, Any] = pod["containers"][0]
    named = {port["name"]: port["containerPort"] for port in one["ports"]}
    asked = {kind: one[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}

    def answers(kind: str) -> int:
        assert container.process.poll() is None, container.printed()
        port = asked[kind]["port"]
        return container.probe(asked[kind]["path"], named.get(port, port))

    container = start(pod, packaged, tmp_path / "keys", tmp_path / "printed")
    try:
        until(lambda: answers("startup") == 200, lambda: f"not started: {container.printed()}", every=1)
        until(lambda: answers("readiness") == 200, lambda: f"not ready: {container.printed()}", every=1)
        assert answers("liveness") == 200
        assert container.probe("/metrics", 8000) == 401  # not without a key
        assert container.stop() == 0, container.printed()
    finally:
        if container.process.poll() is None:
            container.process.kill()
    assert '"logger"' in container.printed()  # its lines go to standard output, as JSON
