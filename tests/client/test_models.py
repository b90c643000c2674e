"""A model beside the segmentation, by name: asked for, printed and listed part by part."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from brainseg_client import Client
from brainseg_client.command import main
from tests.client.standin import GREY, Door, standing

NAME = "brainseg-regions"


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with standing() as door:
        yield door


def test_every_call_names_it(door: Door) -> None:
    client = Client(door.url, patience=0)
    found = client.segment(GREY, model=NAME, version="0.1")
    assert found.labels
    assert [(one["name"], one["pixels"]) for one in found.labels] == [("oedema", 7), ("=core", 0)]
    assert found.regions
    assert client.segment(GREY).labels is None
    for call in (client.mask, client.nifti, client.archive):
        call(GREY, model=NAME)
        assert door.paths[-1] == f"/api/v1/segment?model={NAME}"
    assert door.paths[-4] == "/api/v1/segment"
    assert door.paths[-5] == f"/api/v1/segment?model={NAME}&version=0.1"


def test_its_versions_are_listed(door: Door) -> None:
    client = Client(door.url, patience=0)
    assert [one.version for one in client.models(NAME)] == ["0.1"]
    assert [one.version for one in client.models()] == [one.version for one in client.models("brainseg")] == ["1.0"]
    assert client.models("other") == ()


def run(door: Door, out: Path, *more: str) -> int:
    return main(["segment", *more, "--out", str(out), "--url", door.url, "--patience", "0"])


def test_the_command_prints_and_tables_the_parts(
    door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(GREY)
    assert run(door, tmp_path / "out", str(tmp_path / "a.png"), "--model", NAME) == 0
    assert "oedema: 0.50 ml in 1 of 1 scans\n=core: 0.00 ml in 0 of 1 scans" in capsys.readouterr().out
    assert door.paths[-1] == f"/api/v1/segment?model={NAME}&version=0.1"
    assert run(door, tmp_path / "out", str(tmp_path / "b.png")) == 0
    assert "oedema" not in capsys.readouterr().out
    first, second = csv.DictReader((tmp_path / "out" / "measurements.csv").open())
    if first["file"].endswith("b.png"):
        first, second = second, first
    assert (first["label oedema pixels"], first["label oedema ml"], first["region whole ml"]) == ("7", "0.5", "0.5")
    assert first["label '=core pixels"] == "0"
    assert second["label oedema pixels"] == ""
    sent = len(door.paths)
    assert run(door, tmp_path / "out", str(tmp_path / "a.png"), "--model", NAME) == 0
    assert len(door.paths) == sent  # done before, by this model
    assert run(door, tmp_path / "out", str(tmp_path / "a.png")) == 0
    assert len(door.paths) == sent + 1


def test_a_server_without_it_says_so(door: Door, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(GREY)
    assert run(door, tmp_path / "out", str(tmp_path / "a.png"), "--model", "other") == 3
    assert "no model other" in capsys.readouterr().err
