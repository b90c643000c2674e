"""The whole way of several classes on phantoms: trained, judged, released, opened as served."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from handler.card import read_card
from handler.limits import DEFAULT_LIMITS
from handler.pipeline import open_model
from handler.volumes.subject import read
from tests.training.conftest import call, changed_recipe
from training.data.phantom_volumes import write_phantom_volumes
from training.data.volumes import load_volume
from training.judge.volumes import found_in
from training.release.card import REGIONS_NAME

pytestmark = pytest.mark.training
SAID = ("--data-set", "drawn heads", "--licence", "CC0 1.0")


def test_the_names_are_one() -> None:
    from archive.store import MODELS  # training may not import it

    assert REGIONS_NAME in MODELS


def test_trained_judged_released_and_served(tmp_path: Path) -> None:
    data, run, out = tmp_path / "data", tmp_path / "run", tmp_path / "brainseg-regions-0.1"
    write_phantom_volumes(data, size=32, slices=12)
    recipe = changed_recipe("smoke-regions", tmp_path / "r.yaml", {"sampling.samples_per_epoch": 64})
    done = call("train", "--run", run, "--recipe", recipe, "--data", data, "--accelerator", "cpu", "--threads", "1")
    assert done.code == 0, done.error
    done = call("evaluate", run / "last.ckpt", "--data", data, "--out", tmp_path / "judged", "--side", "test")
    assert done.code == 0, done.error
    report = json.loads((tmp_path / "judged" / "report.json").read_text())
    assert [figure["name"] for figure in report["figures"]][:3] == ["whole tumour", "tumour core", "enhancing tumour"]
    assert len(report["cases"]) == 1
    assert "Research use only" in (tmp_path / "judged" / "report.html").read_text()

    refused = call("release", run / "last.ckpt", "--version", "0.1", "--out", out, "--data", data)
    assert refused.code == 1
    assert "--data-set and --licence" in refused.error
    judged = ("--judged", tmp_path / "judged" / "report.json")
    done = call("release", run / "last.ckpt", "--version", "0.1", "--out", out, "--data", data, *SAID, *judged)
    assert done.code == 0, done.error
    card = read_card(out)
    assert (card.name, card.architecture.classes, card.labelling is not None) == (REGIONS_NAME, 4, True)
    assert card.data["patients"] == 4
    assert "4 patients: a demonstration" in card.limits[0]
    assert card.metrics["choices"]["chosen_on"] == "validation"
    assert set(card.metrics) == {"choices", "validation", "test", "left out"}
    assert card.metrics["left out"]["figures"] == report["figures"]
    assert "CC0 1.0" in (out / "LICENSE").read_text()

    model = open_model(out, "torch", 1)
    case = report["cases"][0]["case"]
    mask = found_in(model.engine, card, load_volume(case, data / case, {1: 1, 2: 2, 4: 3}))
    parts = {name: (data / case / f"{case}_{file}.nii.gz").read_bytes() for name, file in PARTS.items()}
    served = read(parts, None, False, DEFAULT_LIMITS).steps(model.engine, card, float("inf"))
    assert mask.shape == (len(list(served.slices)), 32, 32)
    assert set(np.unique(mask)) <= {0, 1, 2, 3}

    done = call("release", run / "last.ckpt", "--version", "0.1", "--out", out, "--data", data, *SAID, *judged, *judged)
    assert done.code == 1
    assert "judged by two" in done.error


PARTS = {"flair": "flair", "t1c": "t1ce"}
