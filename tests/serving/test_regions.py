"""A model of three labels beside one that sees three slices at a time, on a real server: every door gives the same."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image

from archive.store import archive_path
from brainseg_client import Client, NotFoundError
from brainseg_client.command import main
from bulk.pool import Alone
from bulk.release import find
from bulk.run import Options, Watching, run
from bulk.worker import Setup
from handler.card import FileRecord, InputSpec, ModelCard
from handler.files import sha256_of
from handler.network import build
from prove.drawn.pictures import png
from prove.drawn.volumes import nifti
from prove.server import Server
from rollout.types import FILES, DeployedTypes, write_types
from samples.make import FOLDER, HEALTHY
from serving.ports import free_port
from tests.bulk.conftest import rows, showing
from tests.handler.volumes.test_classes import agree, mask_of, scan_of
from tests.labelled import LABELS, painted, truth, write_labelled_detector
from tests.tiny import TINY, package_quietly
from tests.web.open_inference.test_grpc import call, infer, refused
from training.release.folder import write_release
from web.open_inference.messages import MESSAGES

# A server of its own, two archives and a minute of answers: what its parts do is tested with stand-ins.
pytestmark = [pytest.mark.server, pytest.mark.long]
NAME = "brainseg-regions"
# On the network's own grid, of half the resolution.
COARSE = np.stack([truth(128), np.zeros((128, 128), np.uint8), truth(128, core=False)])
MASKS = COARSE.repeat(2, axis=1).repeat(2, axis=2)
WAIT = 300
GRPC_PORT = free_port()


def stack_of(masks: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, painted(masks), photometric="rgb")
    return buffer.getvalue()


STACK = stack_of(MASKS)


def write_deep(store: Path) -> None:
    """``store``/brainseg-1.0: random weights over three slices."""
    torch.manual_seed(0)
    architecture = replace(TINY, in_channels=9)
    card = ModelCard(
        "brainseg", "1.0", FileRecord("w", "", 0), architecture, InputSpec(64, 64, depth=3), threshold=0.45
    )
    write_release(store / "brainseg-1.0", build(architecture).state_dict(), card)
    package_quietly(store / "brainseg-1.0", archive_path("1.0", store))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("regions")
    store, state = folder / "store", folder / "state"
    store.mkdir()
    state.mkdir()
    (state / ".brainseg-state").touch()
    write_deep(store)
    archive = store / f"{NAME}-0.1.mar"
    package_quietly(write_labelled_detector(store), archive)
    write_types(state / FILES[NAME], DeployedTypes("0.1", archive.name, sha256_of(archive)))
    server = Server(store, state, options=("--jobs", str(folder / "jobs"), "--grpc-port", str(GRPC_PORT)))
    server.start()
    yield server
    server.kill()


def ask(door: str, scan: bytes, **query: str) -> dict[str, Any]:
    reply = requests.post(f"{door}/api/v1/segment", data=scan, params=query, timeout=WAIT)
    assert reply.status_code == 200, reply.text
    return settled(reply.json())


def settled(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what differs each time."""
    return answer | {"timing_ms": {}}


def drawn(slices: list[dict[str, Any]], name: str = "mask") -> NDArray[np.uint8]:
    return np.stack([np.asarray(Image.open(io.BytesIO(base64.b64decode(one["images"][name])))) for one in slices])


def test_rest_finds_the_labels(both: Server) -> None:
    told = ask(both.door, STACK, model=NAME)
    np.testing.assert_array_equal(drawn(told["slices"]), MASKS)
    for label in told["labels"]:
        assert label["pixels"] == np.count_nonzero(label["value"] == MASKS) > 0
    overlay = drawn(told["slices"], "overlay").astype(int)
    for label in LABELS:
        half = (painted(MASKS).astype(int) + label.colour) // 2
        np.testing.assert_array_equal(overlay[label.value == MASKS], half[label.value == MASKS])
    listed = requests.get(f"{both.door}/api/v1/models", timeout=WAIT).json()["beside"]
    assert [(one["name"], one["versions"][0]["card"]["activation"]) for one in listed] == [(NAME, "softmax")]


@pytest.mark.parametrize("model", ["", NAME])
def test_a_job_gives_the_same(both: Server, model: str) -> None:
    query = {"model": model} if model else {}
    wanted = ask(both.door, STACK, **query)
    job = Client(both.door).submit(STACK, model=model or None)
    done = job.result()
    assert done.labels == (tuple(wanted["labels"]) if model else None)
    assert (done.model.name, len(done.slices)) == (model or "brainseg", 3)
    assert [one.tumor_pixels for one in done.slices] == [one["tumor_pixels"] for one in wanted["slices"]]
    refused = requests.post(f"{both.door}/api/v1/jobs?model=other", data=STACK, timeout=WAIT)
    assert (refused.status_code, refused.json()["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("model", ["brainseg", NAME])
def test_open_inference_gives_the_same(both: Server, model: str) -> None:
    wanted = ask(both.door, STACK, model=model)
    entry = {"name": "scan", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(STACK).decode()]}
    path = f"{both.door}/v2/models/{model}"
    reply = requests.post(f"{path}/infer", json={"inputs": [entry]}, timeout=WAIT)
    assert reply.status_code == 200, reply.text
    found = {one["name"]: one for one in reply.json()["outputs"]}
    assert reply.json()["model_name"] == model
    mask = np.array(found["mask"]["data"], np.uint8).reshape(found["mask"]["shape"])
    np.testing.assert_array_equal(mask, drawn(wanted["slices"]))
    told = json.loads(found["measurements"]["data"][0])
    assert (told["labels"], told["tumor_pixels"]) == (wanted["labels"], wanted["tumor_pixels"])
    assert requests.get(path, timeout=WAIT).json()["versions"] == ["0.1" if model == NAME else "1.0"]
    assert requests.get(f"{path}/ready", timeout=WAIT).json()["ready"] is True
    assert requests.get(f"{path}/versions/9/ready", timeout=WAIT).status_code == 404
    other = requests.post(f"{path}/infer", json={"inputs": [entry], "model_name": "brainseg-types"}, timeout=WAIT)
    assert other.status_code == 404


@pytest.mark.parametrize("model", ["brainseg", NAME])
def test_grpc_gives_the_same(both: Server, model: str) -> None:
    wanted = ask(both.door, STACK, model=model)
    request = infer(STACK, model)
    request.outputs.add(name="mask")
    found = call(GRPC_PORT, "ModelInfer", request)
    version = "0.1" if model == NAME else "1.0"
    assert (found.model_name, found.model_version) == (model, version)
    shapes = {one.name: tuple(one.shape) for one in found.outputs}
    told, mask = found.raw_output_contents
    np.testing.assert_array_equal(np.frombuffer(mask, np.uint8).reshape(shapes["mask"]), drawn(wanted["slices"]))
    assert json.loads(told[4:])["labels"] == wanted["labels"]
    metadata = call(GRPC_PORT, "ModelMetadata", MESSAGES["ModelMetadataRequest"](name=model))
    assert (metadata.name, list(metadata.versions)) == (model, [version])
    assert call(GRPC_PORT, "ModelReady", MESSAGES["ModelReadyRequest"](name=model, version=version)).ready
    for other in (infer(STACK, "brainseg-types"), infer(STACK, model, version="9.9")):
        assert refused(GRPC_PORT, other) == ("NOT_FOUND", "model_not_found")


@pytest.mark.parametrize("model", ["brainseg", NAME])
def test_a_passport_is_replayed_by_the_model_that_it_names(
    both: Server, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scan.tiff").write_bytes(STACK)
    (tmp_path / "answer.json").write_text(json.dumps(ask(both.door, STACK, model=model, passport="on")))
    command = ["verify", str(tmp_path / "answer.json"), str(tmp_path / "scan.tiff"), "--server", both.door]
    assert main(command) == 0, capsys.readouterr().err
    assert "the same mask, pixel for pixel" in capsys.readouterr().out
    (tmp_path / "scan.tiff").write_bytes(stack_of(MASKS[:2]))
    assert main(command) == 1
    assert "another scan" in capsys.readouterr().err


def test_a_volume_by_client_and_command(both: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan, values = scan_of()
    client = Client(both.door)
    assert agree(mask_of(client.nifti(nifti(scan), model=NAME)), values)
    with pytest.raises(NotFoundError):
        client.segment(nifti(scan), model="other")
    (tmp_path / "a.nii").write_bytes(nifti(scan))
    out = str(tmp_path / "out")
    assert main(["segment", str(tmp_path / "a.nii"), "--out", out, "--url", both.door, "--model", NAME]) == 0
    said = capsys.readouterr().out
    assert "enhancing tumour: " in said
    assert "in 1 of 1 scans" in said
    assert main(["segment", str(tmp_path / "a.nii"), "--out", f"{out}2", "--url", both.door, "--job"]) == 0
    (deep,) = Path(f"{out}2").glob("*.json")
    assert len(json.loads(deep.read_text())["slices"]) == len(values)


def test_reasons_are_of_the_tumour(both: Server) -> None:
    query = {"model": NAME, "method": "occlusion", "window": "64", "seconds": "300"}
    reply = requests.post(f"{both.door}/api/v1/explain", data=png(painted(truth())), params=query, timeout=WAIT)
    assert reply.status_code == 200, reply.text
    assert reply.json()["model"]["name"] == NAME


def pixels_of(labels: list[dict[str, Any]] | None) -> list[int]:
    return [one["pixels"] for one in labels or ()]


@pytest.mark.parametrize("which", ["deep", "labelled"])
def test_bulk_gives_the_same(both: Server, tmp_path: Path, which: str) -> None:
    archive, version, model = both.store / f"{NAME}-0.1.mar", "0.1", NAME
    if which == "deep":
        archive, version, model = archive_path("1.0", both.store), "1.0", "brainseg"
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "s.tiff").write_bytes(STACK)
    (source / "h.png").write_bytes((FOLDER / HEALTHY).read_bytes())
    opened = find(archive, version, model)
    setup = Setup(opened.sha256, opened.version, opened.model_digest, str(out), model=model)
    watching = Watching(showing, lambda _line: None, lambda: False)
    summary = run(Options(str(source), str(out)), opened, Alone(setup, opened), watching)
    assert (summary.done, summary.refused) == (2, 0)
    found = {Path(row["path"]).name: row for row in rows(out)}
    wanted = ask(both.door, STACK, model=model)
    assert found["s.tiff"]["tumor_pixels"] == wanted["tumor_pixels"]
    assert pixels_of(found["s.tiff"]["labels"]) == pixels_of(wanted["labels"])
    (name,) = found["s.tiff"]["outputs"]
    np.testing.assert_array_equal(tifffile.imread(out / name), drawn(wanted["slices"]))
