"""The whole way of a scan past a gate whose word is known."""

from __future__ import annotations

import dataclasses
import gzip
import json
from typing import Any

import nibabel
import numpy as np
import pytest

from handler.drift import HEADER as COUNTED
from handler.outcome import Outcome
from handler.pipeline import Model, answer
from prove.drawn.volumes import nifti, phantom
from samples.make import png, stack_tiff
from samples.phantom import Phantom, draw
from tests.contract import check_answer, check_problem
from tests.gates import by_t1
from tests.handler.models import FLAIR_RULE, model


def gated(**changes: Any) -> Model:
    return dataclasses.replace(model(FLAIR_RULE, batch=2), gate=by_t1(**changes))


def bright(drawn: Phantom) -> Phantom:
    """The same with a first channel that the gate refuses."""
    image = drawn.image.copy()
    image[..., 0] = np.where(image.max(axis=2) > 25, 230, 0)
    return Phantom(image, drawn.mask)


KNOWN = draw(1, 0.1)
OTHER = bright(KNOWN)


def ask(model: Model, data: bytes, **fields: str) -> Outcome:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return answer(model, {"body": bytearray(data)}, headers)


def told(model: Model, data: bytes, **fields: str) -> dict[str, Any]:
    outcome = ask(model, data, **fields)
    assert outcome.code == "ok", outcome.answer.body
    return check_answer(outcome.answer.body)


def test_a_known_scan_is_answered_as_without_a_gate() -> None:
    plain, watched = told(model(FLAIR_RULE), png(KNOWN)), told(gated(), png(KNOWN))
    assert (plain["trust"]["gate"], watched["trust"]["gate"]) == ("none", "on")
    assert watched["trust"]["accepted"] is True
    assert plain["tumor_pixels"] == watched["tumor_pixels"] > 0
    assert plain["slices"][0]["images"] == watched["slices"][0]["images"]


def test_a_scan_of_another_kind_is_not_assessed() -> None:
    outcome = ask(gated(), png(OTHER), x_brainseg_outputs="scan,mask,overlay,heatmap,panel,probability")
    body = check_answer(outcome.answer.body)
    assert (body["verdict"], list(body["slices"][0]["images"])) == ("not_assessed", ["scan"])
    assert body["trust"]["reasons"] == ["other_contrast"]
    assert outcome.answer.headers["X-BrainSeg-Refused"] == "other_contrast"


@pytest.mark.parametrize("kind", ["image/png", "image/tiff"])
def test_who_wants_the_mask_itself_is_refused(kind: str) -> None:
    reply = ask(gated(), png(OTHER), accept=kind).answer
    problem = check_problem(reply.status, reply.content_type, reply.body, "not_assessed")
    assert "gate=off" in problem["detail"]
    assert "other_contrast" in problem["detail"]
    assert reply.headers["X-BrainSeg-Refused"] == "other_contrast"
    told_json = ask(gated(), png(OTHER)).answer.headers
    assert json.loads(reply.headers[COUNTED]) == json.loads(told_json[COUNTED])
    assert json.loads(reply.headers[COUNTED])["counts"]["verdict"] == [0, 0, 1]


def test_the_field_gate_overrules_and_the_answer_says_so() -> None:
    overruled, plain = told(gated(), png(OTHER), x_brainseg_gate="off"), told(model(FLAIR_RULE), png(OTHER))
    assert (overruled["trust"]["gate"], overruled["trust"]["accepted"]) == ("off", False)
    assert overruled["tumor_pixels"] == plain["tumor_pixels"] > 0
    assert ask(gated(), png(OTHER), accept="image/png", x_brainseg_gate="off").answer.status == 200
    assert told(model(FLAIR_RULE), png(OTHER), x_brainseg_gate="off")["trust"]["gate"] == "none"


def test_of_a_stack_single_slices_are_left_out() -> None:
    scans = stack_tiff((KNOWN, OTHER, KNOWN))
    body = told(gated(), scans)
    assert [one["tumor_pixels"] is None for one in body["slices"]] == [False, True, False]
    assert body["tumor_pixels"] == 2 * told(gated(), png(KNOWN))["tumor_pixels"]
    assert told(gated(share=0.9), scans)["verdict"] == "not_assessed"


def test_a_mask_of_slices_that_are_all_left_out_is_refused_and_not_empty() -> None:
    """An empty mask would say that nothing was found."""
    scans = stack_tiff((KNOWN, OTHER, KNOWN))
    for kind in ("image/png", "image/tiff"):
        reply = ask(gated(), scans, accept=kind, x_brainseg_slices="1").answer
        assert "other_contrast" in check_problem(reply.status, reply.content_type, reply.body, "not_assessed")["detail"]
        assert json.loads(reply.headers[COUNTED])["counts"]["verdict"] == [0, 0, 1]
        assert ask(gated(), scans, accept=kind, x_brainseg_slices="1", x_brainseg_gate="off").answer.status == 200
        assert ask(gated(), scans, accept=kind, x_brainseg_slices="0").answer.status == 200
    assert ask(gated(), scans, accept="image/tiff", x_brainseg_slices="1-2").answer.status == 200


def volume(flipped: bool, t1_bright: slice) -> dict[str, bytes]:
    """FLAIR with a round head, and a T1 that is bright in some slices; ``flipped``: the file runs from head to foot."""
    size, spacing = (40, 44, 12), (4.0, 4.0, 5.0)
    scan = phantom(size, spacing, np.diag((1.0, 1.0, -1.0)) if flipped else None)
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in size[::-1]], indexing="ij")
    head = i**2 + j**2 < 0.7
    flair = np.where(head, 300, 0).astype(np.int16)
    flair[:, 20:24, 18:22] = 1000
    t1 = np.where(head, 100, 0).astype(np.int16)
    t1[:, 30:33, 18:22] = 1000
    t1[t1_bright] = np.where(head[t1_bright], 1000, 0)
    del k
    return {name: nifti(dataclasses.replace(scan, voxels=v)) for name, v in (("flair", flair), ("t1", t1))}


@pytest.mark.parametrize("flipped", [False, True])
def test_a_volumes_slices_are_judged_in_the_order_of_its_file(flipped: bool) -> None:
    parts = volume(flipped, slice(0, 3))
    form = {"content-type": "multipart/form-data"}
    outcome = answer(gated(), {name: bytearray(data) for name, data in parts.items()}, form)
    body = check_answer(outcome.answer.body)
    assert body["verdict"] == "tumor_detected"
    assert [one["tumor_pixels"] is None for one in body["slices"]] == [True] * 3 + [False] * 9
    masked = answer(gated(), dict(parts), {**form, "accept": "application/x-nifti"}).answer
    mask = np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(masked.body)).dataobj)
    assert mask[..., :3].sum() == 0
    assert mask.sum() == body["tumor_pixels"]


def test_a_volume_of_another_kind_has_no_lesions_and_no_mask() -> None:
    parts, form = volume(False, slice(0, 12)), {"content-type": "multipart/form-data"}
    body = json.loads(answer(gated(), dict(parts), form).answer.body)
    check_answer(json.dumps(body))
    assert (body["verdict"], body["tumor_volume_ml"], body["lesions"]) == ("not_assessed", None, None)
    assert body["sequences"] is not None
    for kind in ("application/x-nifti", "application/zip"):
        assert answer(gated(), dict(parts), {**form, "accept": kind}).code == "not_assessed"
