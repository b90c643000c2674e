"""The RayJob as built: against its schema, Kubernetes' and its own words, and its command given to a cluster here."""

from __future__ import annotations

import copy
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import requests
import yaml

from archive.programs import environment
from archive.store import MODEL_NAME, MODELS, ROOT, released_versions
from bulk.cluster import NEEDED, VARIABLES
from bulk.release import SEGMENTING
from serving.ports import free_port
from tests.bulk.conftest import draw, rows
from tests.deploy.manifests import RAY, Resource, build, check, open_in, pods, unpack_kubectl
from tests.rollout.stage import ARCHIVE
from tests.sharing import shared_folder
from tests.waiting import until

HERE = "127.0.0.1"
TOKEN = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[Resource]:
    kubectl = shared_folder(tmp_path_factory, "kubectl", unpack_kubectl) / "kubectl"
    return build(kubectl, RAY)


@pytest.fixture(scope="module")
def job(built: list[Resource]) -> Resource:
    return next(one for one in built if one["kind"] == "RayJob")


def as_pods(job: Resource) -> Iterator[dict[str, Any]]:
    """What KubeRay makes of the job: each group's pod, the autoscaler in the head's."""
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": group["template"]["spec"]}
    options = cluster["autoscalerOptions"]
    beside = {name: options[name] for name in ("env", "resources", "securityContext", "volumeMounts")}
    spec = copy.deepcopy(dict(cluster["headGroupSpec"]["template"]["spec"]))
    spec["containers"].append({"name": "autoscaler", "image": "x", **beside})
    yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": spec}


def check_all(job: Resource) -> None:
    for one in (job, *as_pods(job)):
        check(one)


def test_what_is_built_is_what_a_cluster_takes(built: list[Resource], job: Resource) -> None:
    assert {one["kind"] for one in built} == {"RayJob", "NetworkPolicy"}
    for one in built:
        check(one)
    check_all(job)
    assert job == yaml.safe_load((RAY / "rayjob.yaml").read_text())  # kustomize took nothing away


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["spec", "entryPoint"], "x"),
        (["spec", "rayClusterSpec", "authOptions", "secret"], "x"),
        (["spec", "rayClusterSpec", "autoscalerOptions", "version"], "v3"),
        (["spec", "rayClusterSpec", "workerGroupSpecs", 0, "maxReplica"], 1),
        (["spec", "rayClusterSpec", "workerGroupSpecs", 0, "rayStartParams", "num-cpus"], 4),
        (["spec", "rayClusterSpec", "headGroupSpec", "template", "spec", "containers", 0, "imge"], "x"),
    ],
    ids=str,
)
def test_a_misspelt_field_is_refused(job: Resource, path: list[str | int], value: object) -> None:
    changed = copy.deepcopy(job)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check_all(changed)


def test_every_container_is_shut_in(job: Resource) -> None:
    for pod in pods(job):
        assert list(open_in(pod)) == []
        recipe = (RAY / "Dockerfile").read_text()
        assert f"--uid {pod['securityContext']['runAsUser']}" in recipe
        assert pod["containers"][0]["image"] == "images.example/brainseg-ray:2.1"
    head, worker = pods(job)
    scaler = job["spec"]["rayClusterSpec"]["autoscalerOptions"]
    assert scaler["securityContext"] == head["containers"][0]["securityContext"]
    assert {one["name"] for one in scaler["volumeMounts"]} <= {one["name"] for one in head["volumes"]}
    assert worker["automountServiceAccountToken"] is False


def test_the_parts_mean_each_other(built: list[Resource], job: Resource) -> None:
    cluster = job["spec"]["rayClusterSpec"]
    policy = next(one for one in built if one["kind"] == "NetworkPolicy")
    (worker,) = cluster["workerGroupSpecs"]
    for group in (cluster["headGroupSpec"], worker):
        labels = group["template"]["metadata"]["labels"]
        assert labels == policy["spec"]["podSelector"]["matchLabels"]
    assert cluster["rayVersion"] == NEEDED
    assert f"ray[default]=={NEEDED}" in (ROOT / "pyproject.toml").read_text()
    assert cluster["authOptions"]["mode"] == VARIABLES["RAY_AUTH_MODE"]
    for pod in pods(job):
        env = {one["name"]: one.get("value") for one in pod["containers"][0]["env"]}
        assert env["RAY_USAGE_STATS_ENABLED"] == VARIABLES["RAY_USAGE_STATS_ENABLED"]
        assert not [name for name in env if "TOKEN" in name]  # the operator's, out of the Secret
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    cores = int(worker["rayStartParams"]["num-cpus"])
    assert worker["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] == str(cores)
    (actors,) = re.findall(r"--workers (\d+)", job["spec"]["entrypoint"])
    assert int(actors) == cores * worker["maxReplicas"]
    assert worker["minReplicas"] == worker["replicas"] == 0


@pytest.mark.parametrize("recipe", ["deploy/Dockerfile", "deploy/ray/Dockerfile"])
def test_what_an_image_is_made_of_is_there(recipe: str) -> None:
    """It cannot be built where no container runs: what is copied, the level that is installed, the scripts it runs."""
    text = (ROOT / recipe).read_text()
    copied = [name for line in re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", text, re.MULTILINE) for name in line.split()]
    scripts = re.findall(r"(?<![\w/])scripts/[\w./-]+", text)
    assert {"pyproject.toml", "constraints.txt", "scripts/bootstrap.sh", "scripts/package"} <= {*copied, *scripts}
    for name in {*copied, *scripts} - {"scripts/"}:
        assert (ROOT / name).exists(), name
    (level,) = re.findall(r"brainseg_environment ([\w-]+)", text)
    bootstrap = (ROOT / "scripts" / "bootstrap.sh").read_text()
    (groups,) = re.findall(rf'^ +{level}\) groups="([\w ]*)"', bootstrap, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(groups.split()) <= project["optional-dependencies"].keys()


@pytest.mark.parametrize(
    ("recipe", "asked"), [("deploy/Dockerfile", set(MODELS)), ("deploy/ray/Dockerfile", set(SEGMENTING))]
)
def test_an_image_has_the_archive_of_every_model_that_is_asked_there(recipe: str, asked: set[str]) -> None:
    """What is released and not packaged cannot be deployed in a container whose root is read-only."""
    packaged = re.findall(r"scripts/package(?: --model ([\w-]+))?", (ROOT / recipe).read_text())
    assert {model or MODEL_NAME for model in packaged} == {model for model in asked if released_versions(model=model)}


@dataclass(frozen=True)
class Jobs:
    """The head's port for jobs, as the operator asks it."""

    url: str

    def ask(self, method: str, path: str, token: str = TOKEN, **more: Any) -> requests.Response:
        return requests.request(
            method, self.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=120, **more
        )


def flags(parameters: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in parameters.items()]


@contextmanager
def started(name: str, arguments: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    variables = {
        **environment(), **VARIABLES, "RAY_AUTH_TOKEN": TOKEN, "HOME": str(folder),
        "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}",
    }  # fmt: skip
    with (folder / name).open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", "start", *arguments, "--block"],
            env=variables, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(120)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.long  # a minute: each node is half a dozen processes, and one of them the dashboard
def test_the_jobs_own_command_on_a_cluster_here(job: Resource, packaged: Path, tmp_path: Path) -> None:
    """As KubeRay does it: the head, the entrypoint by HTTP with the token, a worker that comes later."""
    cluster, entrypoint = job["spec"]["rayClusterSpec"], job["spec"]["entrypoint"]
    source = draw(tmp_path / "studies", 6)
    (source / "broken.png").write_bytes(b"\x89PNG")
    port, door, agent = free_port(), free_port(), free_port()
    head = {**cluster["headGroupSpec"]["rayStartParams"], "dashboard-host": HERE, "node-ip-address": HERE}
    head |= {"port": str(port), "dashboard-port": str(door), "dashboard-agent-listen-port": str(agent)}
    head |= {"min-worker-port": "0", "max-worker-port": "0", "ray-client-server-port": str(free_port())}
    worker = {**cluster["workerGroupSpecs"][0]["rayStartParams"], "num-cpus": "1", "node-ip-address": HERE}
    worker |= {"min-worker-port": "0", "max-worker-port": "0", "dashboard-agent-listen-port": str(free_port())}
    command = shlex.join([sys.executable, "-P", "-s", "-m", "scripts.commands.bulk"])
    for old, new in {
        "/srv/brainseg/scripts/bulk": command, "/data": str(tmp_path), "--version 2.1": "--version 1.0",
        "--workers 64": f"--workers 1 --model-store {(packaged / ARCHIVE).parent}",
    }.items():  # fmt: skip
        assert old in entrypoint
        entrypoint = entrypoint.replace(old, new)
    here = Jobs(f"http://{HERE}:{door}")

    def answers() -> bool:
        try:
            return here.ask("GET", "/api/jobs/").status_code == 200
        except requests.ConnectionError:
            return False

    def said() -> str:
        return str(here.ask("GET", f"/api/jobs/{name}/logs").json().get("logs"))[-3000:]

    def ended() -> bool:
        nonlocal state
        state = here.ask("GET", f"/api/jobs/{name}").json()["status"]
        return state in ("SUCCEEDED", "FAILED", "STOPPED")

    state = ""
    with started("head.log", ["--head", *flags(head)], tmp_path):
        until(answers, lambda: (tmp_path / "head.log").read_text()[-3000:], every=1)
        for method, path in (("GET", "/api/jobs/"), ("POST", "/api/jobs/"), ("GET", "/api/cluster_status")):
            assert requests.request(method, here.url + path, timeout=60).status_code == 401
            assert here.ask(method, path, "f" * 64).status_code == 403
        name = here.ask("POST", "/api/jobs/", json={"entrypoint": entrypoint}).json()["submission_id"]
        with started("worker.log", [f"--address={HERE}:{port}", *flags(worker)], tmp_path):
            until(ended, said, every=1)
        log = said()
    assert state == "SUCCEEDED", log
    found = rows(tmp_path / "results")
    assert sorted(row["error_code"] or "" for row in found) == [*[""] * 6, "unsupported_format"]
    assert TOKEN not in log
    assert "Research use only" in log
