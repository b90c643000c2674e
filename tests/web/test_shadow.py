"""A shadow gets copies when nobody waits, and nothing of it reaches a client."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from exchange.outcome import Compared, parse_line
from exchange.trial import SHADOW, STOPPED, outcomes_path
from tests.waiting import until
from tests.web.standin import Scripted, Stage, standing_in
from tests.web.test_shares import SCAN, TRIAL, ask, asked, client_of, metric, put
from web.shares import shadow
from web.shares.compare import compared, has_masks

TRIAL_OF_COPIES = replace(TRIAL, kind=SHADOW)
SHAPE = (6, 7)


def answer(*masks: np.ndarray[Any, Any] | None, verdict: str = "") -> dict[str, Any]:
    """The contract's answer, as far as it is looked at."""

    def encoded(mask: np.ndarray[Any, Any]) -> str:
        buffer = io.BytesIO()
        Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG")
        return base64.b64encode(buffer.getvalue()).decode()

    pixels = sum(int(np.count_nonzero(mask)) for mask in masks if mask is not None)
    return {
        "verdict": verdict or ("tumor_detected" if pixels else "no_tumor_detected"),
        "tumor_pixels": None if verdict == "not_assessed" else pixels,
        "total_pixels": SHAPE[0] * SHAPE[1] * max(1, len(masks)),
        "slices": [{"images": {} if mask is None else {"mask": encoded(mask)}} for mask in masks],
        "model": {"version": "1.0"},
    }


def box(rows: int) -> np.ndarray[Any, Any]:
    mask = np.zeros(SHAPE, bool)
    mask[:rows] = True
    return mask


@given(arrays(bool, (2, *SHAPE), elements=st.booleans()), arrays(bool, (2, *SHAPE), elements=st.booleans()))
def test_masks_are_compared_over_all_slices(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> None:
    found = compared(answer(*b), answer(*a), "ab")
    size = int(a.sum() + b.sum())
    assert found.dice == (pytest.approx(2 * (a & b).sum() / size) if size else None)
    assert found.area == pytest.approx(100 * (int(a.sum()) - int(b.sum())) / a.size)
    assert found.flip == (a.any() != b.any())
    assert (found.sha256 == "ab") == bool((a != b).any())


def test_one_that_is_not_assessed_is_another_verdict() -> None:
    refused, seen = answer(None, verdict="not_assessed"), answer(box(2))
    assert compared(seen, refused, "ab") == Compared(None, True, 0.0, sha256="ab")
    assert compared(refused, refused, "ab") == Compared(None, False, 0.0)
    assert has_masks(refused)
    assert not has_masks(answer(None))
    with pytest.raises(ValueError, match="masks of"):
        compared(seen, answer(box(2)[:3]), "ab")


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(shadow, "AFTER_SECONDS", 0.0)
    with standing_in(Stage(versions=("1.0", "2.0"))) as stage:
        yield stage


def said(content: dict[str, Any]) -> Scripted:
    return (200, "application/json", content)


def lines(state: Path) -> list[Compared]:
    path = outcomes_path(state, TRIAL.id)
    found = path.read_bytes().splitlines() if path.exists() else []
    return [one for line in found if (one := parse_line(Compared, line)) is not None]


def copies(client: FlaskClient, what: str) -> float:
    """Not by /metrics, which begins a probe: that would be seen as a copy."""
    return float(client.application.extensions["brainseg"].shadow._copies.labels("2.0", what)._value.get())


def test_a_copy_is_compared_with_the_clients_answer(stage: Stage, tmp_path: Path) -> None:
    client = client_of(stage, tmp_path)
    put(tmp_path, TRIAL_OF_COPIES)
    stage.predictions = [said(answer(box(4))), said(answer(box(2))), said(answer(box(2)))]
    stage.answer_headers = {"X-BrainSeg-Model-Version": "1.0"}
    assert ask(client) == 200
    until(lambda: lines(tmp_path), "nothing was compared")
    expected = Compared(
        pytest.approx(2 / 3), False, pytest.approx(-100 * 14 / 42), sha256=hashlib.sha256(SCAN).hexdigest()
    )
    assert lines(tmp_path) == [expected]
    assert asked(stage) == ["brainseg", "2.0"]
    assert stage.headers["X-BrainSeg-Outputs"] == "mask"
    until(lambda: metric(client, 'brainseg_front_shadow_copies_total{model_version="2.0",what="compared"}') == 1)
    assert metric(client, 'brainseg_front_shadow_dice_count{model_version="2.0"}') == 1
    text = client.get("/metrics", headers={"Host": "localhost"}).text
    assert hashlib.sha256(SCAN).hexdigest()[:12] not in text


def test_where_the_client_took_no_mask_the_live_version_is_asked_again(stage: Stage, tmp_path: Path) -> None:
    client = client_of(stage, tmp_path)
    put(tmp_path, TRIAL_OF_COPIES)
    stage.answer_headers = {"X-BrainSeg-Model-Version": "1.0"}
    stage.predictions = [said(answer(box(4))), said(answer(box(2))), said(answer(box(2)))]
    assert ask(client, "?outputs=none") == 200
    until(lambda: lines(tmp_path), "nothing was compared")
    assert asked(stage) == ["brainseg", "2.0", "1.0"]
    assert [(one.dice, one.sha256) for one in lines(tmp_path)] == [(1.0, "")]


def test_what_the_shadow_fails_is_its_fault_alone(stage: Stage, tmp_path: Path) -> None:
    client = client_of(stage, tmp_path)
    put(tmp_path, TRIAL_OF_COPIES)
    stage.answer_headers = {"X-BrainSeg-Model-Version": "1.0"}
    stage.predictions = [said(answer(box(4))), (500, "application/problem+json", {"code": "internal_error"})]
    assert ask(client) == 200
    until(lambda: lines(tmp_path), "nothing was noted")
    assert lines(tmp_path) == [Compared(None, False, 0.0, failed=True)]


def test_few_copies_are_held_and_no_client_waits_for_them(stage: Stage, tmp_path: Path) -> None:
    client = client_of(stage, tmp_path)
    put(tmp_path, TRIAL_OF_COPIES)
    stage.answer_headers = {"X-BrainSeg-Model-Version": "1.0"}
    stage.predictions = [said(answer(box(4)))]
    stage.hold("/2.0")
    for _ in range(shadow.HELD + 3):
        assert ask(client) == 200  # though the shadow hangs
    assert copies(client, "full") == 3
    # The end of the trial frees what is held, and nothing of it is asked any more.
    put(tmp_path, replace(TRIAL_OF_COPIES, share=0.0, ended=STOPPED))
    stage.goes_on.set()
    held = client.application.extensions["brainseg"].shadow._waiting
    until(lambda: not held, "copies are held after the end")
    assert asked(stage).count("2.0") <= 1
    assert lines(tmp_path) == []


def test_a_large_scan_is_not_copied(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "LARGEST", len(SCAN) - 1)
    client = client_of(stage, tmp_path)
    put(tmp_path, TRIAL_OF_COPIES)
    stage.answer_headers = {"X-BrainSeg-Model-Version": "1.0"}
    assert ask(client) == 200
    assert copies(client, "large") == 1
    assert asked(stage) == ["brainseg"]


def test_a_share_of_the_requests_is_copied(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = client_of(stage, tmp_path)
    some = replace(TRIAL_OF_COPIES, share=30.0)
    put(tmp_path, some)
    stage.answer_headers = {"X-BrainSeg-Model-Version": "1.0"}
    offered: list[str] = []
    monkeypatch.setattr(
        client.application.extensions["brainseg"].shares,
        "_offer",
        lambda _trial, _scan, name, _answer: offered.append(name),
    )
    names = [f"r{number}" for number in range(20)]
    for name in names:
        assert ask(client, X_Request_Id=name) == 200
    assert ask(client, "?version=1.0", X_Request_Id="named") == 200
    assert offered == [name for name in names if some.takes(f"request {name}")]
    assert 0 < len(offered) < 20
    assert "2.0" not in asked(stage)
