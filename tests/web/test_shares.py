"""A version on trial gets its share of the requests that name none, and costs no client an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st

from exchange.outcome import Compared, Outcome, line_of, parse_line
from exchange.trial import (
    BREACHED,
    BY_CLIENT,
    BY_REQUEST,
    CANARY,
    PROMOTED,
    SHADOW,
    TRIAL_FILE,
    Trial,
    outcomes_path,
    parse_trial,
)
from tests.waiting import until
from tests.web.standin import DIED, Scripted, Stage, standing_in
from web.app import create_app
from web.contract.fields import Answer
from web.settings import Settings
from web.shares.reading import outcome_of, version_of
from web.shares.trials import Trials

SCAN = b"\x89PNG\r\n\x1a\n"
TRIAL = Trial("aa11", CANARY, "2.0", "sha256:ab", 100.0, BY_CLIENT, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")
PROBLEM: Scripted = (500, "application/problem+json", {"code": "internal_error", "status": 500})


@pytest.fixture
def stage() -> Iterator[Stage]:
    with standing_in(Stage(versions=("1.0", "2.0"))) as stage:
        yield stage


def put(state: Path, trial: Trial) -> None:
    """As ``scripts/deploy`` does: whole, under another name first."""
    (state / "part").write_bytes(trial.written())
    (state / "part").replace(state / TRIAL_FILE)


def client_of(stage: Stage, state: Path) -> FlaskClient:
    return create_app(Settings(stage.url, stage.url, deployment=state / "deployment.json")).test_client()


def ask(client: FlaskClient, query: str = "", **headers: str) -> int:
    sent = {"Content-Type": "image/png", "Host": "localhost"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return client.post(f"/api/v1/segment{query}", data=SCAN, headers=sent).status_code


def asked(stage: Stage) -> list[str]:
    """What each prediction asked for so far: a version, or brainseg for the default."""
    return [path.rsplit("/", 1)[1] for _, path, _ in stage.seen if path.startswith("/predictions")]


def outcomes(state: Path) -> list[Outcome]:
    path = outcomes_path(state, TRIAL.id)
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [one for line in lines if (one := parse_line(Outcome, line)) is not None]


def metric(client: FlaskClient, line: str) -> float:
    text = client.get("/metrics", headers={"Host": "localhost"}).text
    return next((float(one.rsplit(" ", 1)[1]) for one in text.splitlines() if one.startswith(f"{line} ")), 0.0)


@given(st.text(max_size=30), st.floats(0, 100), st.floats(0, 100), st.text("0123456789abcdef", min_size=1, max_size=12))
def test_growing_the_share_moves_nobody_back(key: str, one: float, other: float, name: str) -> None:
    less, more = (replace(TRIAL, id=name, share=share) for share in sorted((one, other)))
    assert more.takes(key) or not less.takes(key)
    assert replace(TRIAL, id=name).takes(key)
    assert not replace(TRIAL, id=name, share=0.0).takes(key)


def test_the_share_is_what_is_said_and_another_trial_takes_others() -> None:
    five, other = replace(TRIAL, share=5.0), replace(TRIAL, id="bb22", share=5.0)
    taken = {key for key in map(str, range(20_000)) if five.takes(key)}
    assert 800 < len(taken) < 1200  # six sigma
    assert len(taken & {key for key in map(str, range(20_000)) if other.takes(key)}) < 150


@given(st.builds(Outcome, st.booleans(), st.booleans(), st.none() | st.floats(0, 1e6), st.none() | st.booleans()))
def test_a_line_is_read_as_it_was_written(one: Outcome) -> None:
    assert parse_line(Outcome, line_of(one)) == one
    assert parse_line(Outcome, line_of(one)[:-5]) is None
    assert parse_line(Compared, line_of(one)) is None


@given(
    st.binary(max_size=60) | st.dictionaries(st.text(max_size=5), st.integers()).map(lambda d: json.dumps(d).encode())
)
def test_what_is_no_trial_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind: who reads it takes it for none
        parse_trial(content)
    assert parse_trial(TRIAL.written()) == TRIAL


def test_only_requests_without_a_version_are_shared(stage: Stage, tmp_path: Path) -> None:
    client = client_of(stage, tmp_path)
    assert ask(client) == 200
    put(tmp_path, TRIAL)
    assert [ask(client), ask(client, "?version=1.0"), ask(client, X_BrainSeg_Version="1.0")] == [200] * 3
    assert asked(stage) == ["brainseg", "2.0", "1.0", "1.0"]
    assert metric(client, 'brainseg_front_trial_share{kind="canary",model_version="2.0"}') == 100
    assert metric(client, 'brainseg_front_segmentations_total{code="ok",model_version="2.0"}') == 1


def test_the_same_request_key_goes_to_the_same_version(stage: Stage, tmp_path: Path) -> None:
    client, half = client_of(stage, tmp_path), replace(TRIAL, share=50.0)
    put(tmp_path, half)
    for key in ("a", "b", "c", "d", "e", "f", "g", "h"):
        before = len(asked(stage))
        assert [ask(client, X_Request_Key=key) for _ in range(3)] == [200] * 3
        assert asked(stage)[before:] == ["2.0" if half.takes(f"sent {key}") else "brainseg"] * 3
    assert {*asked(stage)} == {"2.0", "brainseg"}


@pytest.mark.parametrize(("by", "kept"), [(BY_CLIENT, True), (BY_REQUEST, False)])
def test_the_same_key_of_a_client_goes_to_the_same_version(by: str, kept: bool, stage: Stage, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("".join(f"ward{n} {n}{'x' * 40}\n" for n in range(8)))
    keys.chmod(0o600)
    app = create_app(Settings(stage.url, stage.url, api_keys=keys, deployment=tmp_path / "deployment.json"))
    put(tmp_path, replace(TRIAL, share=50.0, by=by))
    seen = []
    for n in range(8):
        before = len(asked(stage))
        for _ in range(6):
            assert ask(app.test_client(), Authorization=f"Bearer {n}{'x' * 40}") == 200
        seen.append(len({*asked(stage)[before:]}))
    assert (seen == [1] * 8) == kept


def test_a_share_of_nothing_and_an_end_are_seen_at_once(stage: Stage, tmp_path: Path) -> None:
    client = client_of(stage, tmp_path)
    for trial in (TRIAL, replace(TRIAL, share=0.0, ended=BREACHED), replace(TRIAL, kind=SHADOW)):
        put(tmp_path, trial)
        assert ask(client) == 200
    (tmp_path / TRIAL_FILE).write_text("{")
    assert ask(client) == 200
    assert asked(stage) == ["2.0", "brainseg", "brainseg", "brainseg"]


def test_a_version_that_is_not_there_or_live_already_gets_nothing(stage: Stage, tmp_path: Path) -> None:
    client = client_of(stage, tmp_path)
    for version in ("3.0", "1.0"):
        put(tmp_path, replace(TRIAL, version=version))
        assert ask(client) == 200
    assert asked(stage) == ["brainseg", "brainseg"]


@pytest.mark.parametrize(
    ("failures", "tries"),
    [([PROBLEM], ["2.0"]), ([DIED, DIED], ["2.0", "2.0"]), ([(404, "application/json", {})], ["2.0"])],
)
def test_what_the_candidate_fails_the_live_version_answers(
    failures: list[Scripted], tries: list[str], stage: Stage, tmp_path: Path
) -> None:
    client = client_of(stage, tmp_path)
    put(tmp_path, TRIAL)
    stage.predictions = [*failures, *stage.predictions]
    assert ask(client) == 200
    assert asked(stage) == [*tries, "brainseg"]
    found = outcomes(tmp_path)
    assert [one.candidate for one in found] == [True]  # the live version's is an answer to a chosen one: not counted
    assert found[0].fault == (failures[0][0] != 404)
    labels = 'arm="candidate",model_version="2.0",what="fell_back"'
    assert metric(client, f"brainseg_front_trial_requests_total{{{labels}}}") == 1


def test_what_waits_for_a_canary_that_is_taken_back_is_answered_by_the_live_version(
    stage: Stage, tmp_path: Path
) -> None:
    client, codes = client_of(stage, tmp_path), []
    put(tmp_path, TRIAL)
    stage.hold("/2.0")
    waiting = threading.Thread(target=lambda: codes.append(ask(client)))
    waiting.start()
    # It is held before it is counted: by then the other end has the connection.
    until(lambda: stage.headers, "it was not sent")
    put(tmp_path, replace(TRIAL, share=0.0, ended=BREACHED))
    waiting.join(120)
    stage.goes_on.set()
    assert codes == [200]
    assert outcomes(tmp_path) == []
    assert asked(stage)[0] == "brainseg"


def test_what_waits_for_a_canary_that_is_promoted_is_answered_by_it(stage: Stage, tmp_path: Path) -> None:
    client, codes = client_of(stage, tmp_path), []
    put(tmp_path, TRIAL)
    stage.hold("/2.0")
    waiting = threading.Thread(target=lambda: codes.append(ask(client)))
    waiting.start()
    until(lambda: stage.headers, "it was not sent")
    put(tmp_path, replace(TRIAL, share=0.0, ended=PROMOTED))
    waiting.join(1)  # two looks of the front door
    stage.goes_on.set()
    waiting.join(120)
    assert codes == [200]
    assert asked(stage) == ["2.0"]


def test_both_are_written_down_and_nothing_after_the_end(stage: Stage, tmp_path: Path) -> None:
    client = client_of(stage, tmp_path)
    half = replace(TRIAL, share=50.0)
    put(tmp_path, half)
    for number in range(12):
        ask(client, X_Request_Key=str(number))
    assert [one.candidate for one in outcomes(tmp_path)] == [half.takes(f"sent {number}") for number in range(12)]
    assert len({one.candidate for one in outcomes(tmp_path)}) == 2
    assert b"sent" not in outcomes_path(tmp_path, TRIAL.id).read_bytes()
    Trials(tmp_path).note(replace(half, id="other"), Outcome(True, True))
    put(tmp_path, replace(TRIAL, share=0.0, ended=BREACHED))
    Trials(tmp_path).note(half, Outcome(True, True))
    assert len(outcomes(tmp_path)) == 12
    assert [one.name for one in tmp_path.glob("trial-*")] == [f"trial-{TRIAL.id}.jsonl"]


def test_what_an_answer_says_of_itself() -> None:
    counted = {"format": 1, "version": "2.0", "counts": {"coverage_percent": [1, 0, 0, 0, 0, 0, 0, 0, 1]}}
    counted["counts"] |= {"max_probability": [2] + [0] * 9, "score": [2] + [0] * 9, "verdict": [1, 1, 0]}  # type: ignore[index]
    headers = {"X-Brainseg-Counted": json.dumps(counted)}
    body = b'{"slices": [], "timing_ms": {"decode": 1.5, "inference": 98.5}, "notice": ""}'
    assert outcome_of(Answer(200, headers, body), True) == Outcome(True, False, 0.1, True, False, 0.5)
    assert version_of(Answer(200, headers, body)) == "2.0"
    assert version_of(Answer(200, {"X-Brainseg-Model-Version": "1.0"}, b"PNG")) == "1.0"
    assert version_of(Answer(200, {}, body)) == ""
    refused = {"X-Brainseg-Refused": "not_a_brain"}
    assert outcome_of(Answer(200, refused, b"PNG"), False) == Outcome(False, False, None, None, True, None)
    problem = json.dumps({"code": "corrupt_image"}).encode()
    assert outcome_of(Answer(422, {}, problem), True) == Outcome(True, False)
    not_assessed = problem.replace(b"corrupt_image", b"not_assessed")
    assert outcome_of(Answer(422, {}, not_assessed), True) == Outcome(True, False, refused=True)
    assert outcome_of(Answer(504, {}, problem.replace(b"corrupt_image", b"timeout")), True).fault
