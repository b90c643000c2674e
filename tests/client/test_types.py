"""``Client.classify`` and ``brainseg classify``, against a front door that answers from a script."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from brainseg_client import Classification, Client, NotFoundError, UnreachableError
from brainseg_client.command import main
from tests.client.standin import Door, standing
from web.contract.examples import CLASSIFICATION

NONE = {"code": "model_not_found", "detail": "No model that names types is deployed here.", "status": 404}
SEVERAL = {"code": "invalid_parameter", "detail": "The scan has 8 slices; say which.", "status": 400}


@pytest.fixture
def door() -> Iterator[Door]:
    with standing() as door:
        door.result = CLASSIFICATION
        yield door


def test_the_answer_as_a_value(door: Door) -> None:
    found = Client(door.url).classify(b"scan", slice=3)
    assert isinstance(found, Classification)
    assert (found.label, found.slice, found.model.name) == ("meningioma", 0, "brainseg-types")
    assert found.probabilities == CLASSIFICATION["probabilities"]
    assert [one.code for one in found.warnings] == ["assumes_tumour"]
    ((headers, body),) = door.asked
    assert body == b"scan"
    assert {name.lower(): value for name, value in headers.items()}["x-brainseg-slices"] == "3"
    assert door.paths == ["/api/v1/classify"]


def test_what_is_no_such_answer_and_where_no_model_is(door: Door) -> None:
    door.result = {"verdict": "tumor_detected"}
    with pytest.raises(UnreachableError, match="not the contract's"):
        Client(door.url).classify(b"scan")
    door.problem = NONE
    with pytest.raises(NotFoundError, match="No model that names types"):
        Client(door.url).classify(b"scan")


def test_the_command_prints_a_line_a_scan(door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scans = [tmp_path / "a.png", tmp_path / "b.png"]
    for scan in scans:
        scan.write_bytes(b"scan")
    assert main(["classify", *map(str, scans), "--url", door.url]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"{scan}: meningioma (meningioma 0.852, glioma 0.118, pituitary 0.030)" for scan in scans
    ]
    assert "Research use only" in printed.err
    assert main(["classify", str(scans[0]), "--url", door.url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(scans[0]), **CLASSIFICATION}


@pytest.mark.parametrize(("problem", "status"), [(SEVERAL, 1), (NONE, 3)])
def test_the_exit_status_tells_what_went_wrong(
    door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str], problem: dict[str, object], status: int
) -> None:
    scan = tmp_path / "a.png"
    scan.write_bytes(b"scan")
    door.problem = problem
    assert main(["classify", str(scan), "--url", door.url, "--patience", "0"]) == status
    assert str(problem["detail"]) in capsys.readouterr().err
    assert main(["classify", str(tmp_path / "none.png"), "--url", door.url]) == 2
