"""``Client.explain`` and ``brainseg explain``, against a front door that answers from a script."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from brainseg_client import BrainSegError, Client, UnreachableError
from brainseg_client.command import main
from tests.client.standin import COLOUR, GREY, Door, standing
from web.contract.examples import EXPLANATION

ANSWER: dict[str, Any] = EXPLANATION | {
    "images": {"heat": base64.b64encode(GREY).decode(), "overlay": base64.b64encode(COLOUR).decode()}
}
REFUSED = {"code": "invalid_parameter", "detail": "The scan has 8 slices; say which.", "status": 400}
OLDER = {"code": "explain_unavailable", "detail": "package it again", "status": 501}


@pytest.fixture
def door() -> Iterator[Door]:
    with standing() as door:
        door.result = ANSWER
        yield door


def test_the_answer_as_a_value(door: Door) -> None:
    found = Client(door.url).explain(b"scan", method="occlusion", question="area", slice=3, window=16, gate="off")
    assert (found.heat, found.overlay) == (GREY, COLOUR)
    assert (found.method, found.question, found.slice, found.range) == ("occlusion", "area", 0, (-3.1, 412.7))
    assert found.faithful
    assert found.raw["notice"] == "Research use only. Not a medical device."
    ((headers, body),) = door.asked
    assert body == b"scan"
    sent = {name.lower(): value for name, value in headers.items()}
    for name, value in {"method": "occlusion", "question": "area", "slice": "3", "window": "16", "gate": "off"}.items():
        assert sent[f"x-brainseg-{name}"] == value
    assert "x-brainseg-seconds" not in sent
    assert door.paths == ["/api/v1/explain"]


def test_an_answer_that_is_none_and_a_refusal_have_their_exceptions(door: Door) -> None:
    door.result = {"verdict": "tumor_detected"}
    with pytest.raises(UnreachableError, match="not the contract's"):
        Client(door.url).explain(b"scan")
    door.problem = OLDER
    with pytest.raises(BrainSegError, match="package it again") as refusal:
        Client(door.url).explain(b"scan")
    assert refusal.value.code == "explain_unavailable"


def test_names_that_differ_behind_a_dot_are_two(door: Door, tmp_path: Path) -> None:
    """As those of DICOM files, which are often UIDs."""
    out, folder = tmp_path / "out", tmp_path / "2026.01.02"
    folder.mkdir()
    scans = [tmp_path / name for name in ("1.2.840.1.dcm", "1.2.840.2.dcm", "case.1.nii.gz")]
    for scan in (*scans, folder / "one.dcm"):
        scan.write_bytes(b"scan")
    for scan in (*scans, folder):
        assert main(["explain", str(scan), "--out", str(out), "--url", door.url]) == 0
    named = {path.name.removesuffix(".why.json") for path in out.glob("*.why.json")}
    assert named == {"1.2.840.1", "1.2.840.2", "case.1", "2026.01.02"}


def test_the_command_writes_pictures_and_words(door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan, out = tmp_path / "case.nii.gz", tmp_path / "out"
    scan.write_bytes(b"scan")
    assert main(["explain", str(scan), "--out", str(out), "--url", door.url, "--slice", "0"]) == 0
    assert (out / "case.why.png").read_bytes() == COLOUR
    assert (out / "case.heat.png").read_bytes() == GREY
    told = json.loads((out / "case.why.json").read_text())
    assert told == {name: value for name, value in ANSWER.items() if name != "images"}
    printed = capsys.readouterr().out
    assert printed.splitlines() == [ANSWER["said"], ANSWER["deletion"]["said"], ANSWER["notice"]]


@pytest.mark.parametrize(("problem", "status"), [(REFUSED, 1), (OLDER, 1), ({**OLDER, "code": "worker_lost"}, 3)])
def test_the_exit_status_tells_what_went_wrong(
    door: Door, tmp_path: Path, problem: dict[str, Any], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    door.problem = problem
    scan = tmp_path / "case.png"
    scan.write_bytes(b"scan")
    assert main(["explain", str(scan), "--out", str(tmp_path / "out"), "--url", door.url]) == status
    assert str(problem["detail"]) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_wrong_use_and_a_place_that_cannot_be_written(door: Door, tmp_path: Path) -> None:
    scan = tmp_path / "case.png"
    assert main(["explain", str(scan), "--out", str(tmp_path / "out"), "--url", door.url]) == 2
    assert main(["explain", str(scan), "--out", str(tmp_path / "out"), "--method", "guess"]) == 2
    scan.write_bytes(b"scan")
    (tmp_path / "file").write_text("in the way")
    assert main(["explain", str(scan), "--out", str(tmp_path / "file"), "--url", door.url]) == 4
