"""The manifests as built: against the schemas of the cluster, against each other, and started here."""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from archive.store import ROOT
from serving.running import DOOR_END_SECONDS
from serving.torchserve import STOP_SECONDS
from tests.deploy.manifests import KSERVE, KUBERNETES, SCHEMAS, Resource, build, check, faults, pods, unpack_kubectl
from tests.deploy.prometheus import RULES, panel_queries
from tests.sharing import shared_folder

OVERLAYS = [KUBERNETES / "base", KUBERNETES / "volume", KUBERNETES / "image", KSERVE]
KINDS = {
    *("Deployment", "Service", "PodDisruptionBudget", "HorizontalPodAutoscaler", "NetworkPolicy"),
    *("ServiceMonitor", "PrometheusRule"),
}
Edit = tuple[str, list[str | int], Any]


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_folder(tmp_path_factory, "kubectl", unpack_kubectl) / "kubectl"


@pytest.fixture(scope="module")
def built(kubectl: Path) -> dict[str, list[Resource]]:
    return {folder.name: build(kubectl, folder) for folder in OVERLAYS}


def one(resources: list[Resource], kind: str) -> Resource:
    return next(resource for resource in resources if resource["kind"] == kind)


@pytest.mark.parametrize("name", [folder.name for folder in OVERLAYS])
def test_what_is_built_is_what_a_cluster_takes(built: dict[str, list[Resource]], name: str) -> None:
    kinds = {resource["kind"] for resource in built[name]}
    assert kinds == ({"ServingRuntime", "InferenceService"} if name == "kserve" else KINDS)
    for resource in built[name]:
        check(resource)
    assert faults(built[name]) == []


WRONG: list[Edit] = [
    ("Deployment", ["spec", "template", "spec", "containers", 0, "readinesProbe"], {}),
    ("Service", ["spec", "ports", 0, "targetport"], 1),
    ("PodDisruptionBudget", ["spec", "maxUnavailble"], 1),
    ("HorizontalPodAutoscaler", ["spec", "maxReplicas"], "many"),
    ("NetworkPolicy", ["spec", "ingres"], []),
    ("ServiceMonitor", ["spec", "endpoints", 0, "intervall"], "15s"),
    ("PrometheusRule", ["spec", "groups", 0, "rules", 0, "exprr"], "1"),
    ("ServingRuntime", ["spec", "containers", 0, "imge"], "x"),
    ("InferenceService", ["spec", "predictor", "model", "storageURI"], "x"),
]
UNWISE: list[Edit] = [
    ("ServingRuntime", ["spec", "containers", 0, "securityContext", "readOnlyRootFilesystem"], False),
    ("ServingRuntime", ["spec", "containers", 0, "readinessProbe", "httpGet", "port"], 1),
    ("ServingRuntime", ["spec", "containers", 0, "volumeMounts", 0, "name"], "nothing"),
    ("ServingRuntime", ["spec", "containers", 0, "name"], "brainseg"),
    ("InferenceService", ["spec", "predictor", "canaryTrafficPercent"], 101),
    ("InferenceService", ["spec", "predictor", "minReplicas"], 9),
    ("InferenceService", ["spec", "predictor", "model", "runtime"], "torchserve"),
    ("InferenceService", ["spec", "predictor", "model", "protocolVersion"], "v1"),
]


def edited(resources: list[Resource], edit: Edit) -> list[Resource]:
    kind, path, value = edit
    changed = copy.deepcopy(resources)
    place: Any = one(changed, kind)
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


@pytest.mark.parametrize("edit", WRONG, ids=lambda edit: f"{edit[0]}-{edit[1][-1]}")
def test_a_misspelt_field_is_refused(built: dict[str, list[Resource]], edit: Edit) -> None:
    folder = "kserve" if edit[0] in ("ServingRuntime", "InferenceService") else "volume"
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.ValidationError)):
        check(one(edited(built[folder], edit), edit[0]))


@pytest.mark.parametrize("edit", UNWISE, ids=lambda edit: str(edit[1][-1]))
def test_what_a_webhook_would_refuse_is_seen(built: dict[str, list[Resource]], edit: Edit) -> None:
    assert len(faults(edited(built["kserve"], edit))) == 1


def test_a_kind_that_was_removed_is_no_silence() -> None:
    with pytest.raises(kubernetes_validate.SchemaNotFoundError):
        check({"apiVersion": "policy/v1beta1", "kind": "PodSecurityPolicy", "metadata": {"name": "x"}, "spec": {}})
    assert {path.stem for path in SCHEMAS.glob("*.json")} < KINDS | {"ServingRuntime", "InferenceService", "RayJob"}


def test_the_parts_mean_each_other(built: dict[str, list[Resource]]) -> None:
    resources = built["volume"]
    deployment, service = one(resources, "Deployment"), one(resources, "Service")
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    policy, monitor = one(resources, "NetworkPolicy"), one(resources, "ServiceMonitor")
    budget, scaler = one(resources, "PodDisruptionBudget"), one(resources, "HorizontalPodAutoscaler")
    assert labels
    for selector in (
        *(service["spec"]["selector"], policy["spec"]["podSelector"]["matchLabels"]),
        *(budget["spec"]["selector"]["matchLabels"], deployment["spec"]["selector"]["matchLabels"]),
    ):
        assert selector == labels
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert service["metadata"]["labels"][monitor["spec"]["jobLabel"]] == "brainseg"  # the alerts' job
    names = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    assert {rule["port"] for entry in policy["spec"]["ingress"] for rule in entry["ports"]} <= names
    assert {end["port"] for end in monitor["spec"]["endpoints"]} <= {port["name"] for port in service["spec"]["ports"]}
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]  # the scaler has them
    assert scaler["spec"]["minReplicas"] > budget["spec"]["maxUnavailable"]
    metric = scaler["spec"]["metrics"][0]["pods"]["metric"]["name"]
    assert f"{metric}{{" in " ".join(panel_queries().values())  # which a real front door is held to show


@pytest.mark.parametrize("name", ["volume", "image"])
def test_an_overlay_adds_the_models_and_takes_nothing_away(built: dict[str, list[Resource]], name: str) -> None:
    (base,), (here,) = (list(pods(one(built[n], "Deployment"))) for n in ("base", name))
    assert here["volumes"][:-1] == base["volumes"]
    assert {k: v for k, v in here["containers"][0].items() if k != "volumeMounts"} == {
        k: v for k, v in base["containers"][0].items() if k != "volumeMounts"
    }
    added = here["containers"][0]["volumeMounts"][-1]
    assert added == {"name": "models", "mountPath": "/srv/brainseg/model_store", "readOnly": True}


def test_there_is_time_to_end(built: dict[str, list[Resource]]) -> None:
    (pod,) = pods(one(built["volume"], "Deployment"))
    container = pod["containers"][0]
    (drain,) = re.findall(r"--drain-seconds=(\d+)", " ".join(container["args"]))
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    needed = before + int(drain) + DOOR_END_SECONDS + STOP_SECONDS
    assert pod["terminationGracePeriodSeconds"] >= needed
    predictor = one(built["kserve"], "InferenceService")["spec"]["predictor"]
    assert predictor["terminationGracePeriodSeconds"] >= needed - before


def test_the_image_is_the_dockerfiles(built: dict[str, list[Resource]]) -> None:
    recipe = (ROOT / "deploy" / "Dockerfile").read_text()
    for resources in built.values():
        for pod in (pod for resource in resources for pod in pods(resource)):
            container = pod["containers"][0]
            own = {**pod.get("securityContext", {}), **container["securityContext"]}
            assert f"--uid {own['runAsUser']}" in recipe
            assert container["command"] == ["scripts/serve"]
            assert container["image"] == "images.example/brainseg:2.1"
    assert "WORKDIR /srv/brainseg" in recipe


def test_the_rules_are_prometheus_own(built: dict[str, list[Resource]], tmp_path: Path) -> None:
    assert one(built["base"], "PrometheusRule")["spec"] == yaml.safe_load(RULES.read_text())
    subprocess.run([str(KUBERNETES / "make-rules"), str(tmp_path / "made.yaml")], check=True, timeout=60)
    made = (KUBERNETES / "base" / "prometheusrule.yaml").read_text()
    assert (tmp_path / "made.yaml").read_text() == made, "run deploy/kubernetes/make-rules"
