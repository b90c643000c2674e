"""Rows, their record, and going on where it ended."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from prove import record, run
from prove.proof import Claims, Ground, Part
from prove.run import Wish, prove
from tests.tiny import write_tiny_release

COUNT = "things"


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    write_tiny_release(tmp_path / "store")
    return Wish((), tmp_path / "out", tmp_path / "store", "1.0", seed=7, short=True)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What ran; two parts, of which one fails where there are ten things or more, and one that breaks at twenty."""
    names: list[str] = []

    def work(ground: Ground, claims: Claims) -> None:
        names.append(claims.part)
        claims.shown("one | of them", "a\nb")
        claims.equal("none lost", 0, 0, "answers")
        if ground.effort[COUNT] >= 20:
            raise OSError("no room")
        claims.at_most("not too many", 9, ground.effort[COUNT], "things")
        claims.skipped("with a clock", "there is none")

    parts = [Part(name, "about it", work, {COUNT: 10}, {COUNT: 3}) for name in ("first", "second")]
    monkeypatch.setattr(run, "PARTS", {part.name: part for part in parts})
    monkeypatch.setattr(run, "make_store", lambda folder, *_: folder)
    return names


def test_a_part_in_turns_goes_on_where_it_ended(wish: Wish, ran: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def work(ground: Ground, claims: Claims) -> None:
        """Two things a turn, where its time is short."""
        first, asked = ground.kept.setdefault("done", 0), ground.effort[COUNT]
        ground.kept["done"] = min(asked, first + 2) if ground.late else asked
        ran.append(f"{first}-{ground.kept['done']}")
        claims.shown("done", ground.kept["done"])

    part = Part("third", "in turns", work, {COUNT: 10}, {COUNT: 3}, COUNT)
    monkeypatch.setattr(run, "PARTS", {"third": part})
    short = replace(wish, short=False, minutes=0)
    (done,) = prove(short, told)
    assert (dict(done.effort), done.rows[0].command) == (
        {COUNT: 2},
        f"./scripts/prove third --seed 7 --count {COUNT}=2",
    )
    (done,) = prove(short, told)
    assert record.read(wish.out)["third"] == done
    page = (wish.out / record.PAGE_FILE).read_text()
    assert "things 4 of 10; " in page
    assert " in 2 turns on " in page
    prove(replace(short, minutes=1), told)
    prove(short, told)
    assert ran == ["0-2", "2-4", "4-10"]
    prove(replace(short, count={COUNT: 3}), told)  # less than is recorded: from the beginning
    prove(replace(short, again=True), told)
    assert ran[3:] == ["0-2", "0-2"]


def told(_line: str) -> None:
    pass


def test_what_is_recorded_is_not_run_again(wish: Wish, ran: list[str]) -> None:
    done = prove(replace(wish, parts=("first",)), told)
    assert (ran, [one.passed for one in done]) == (["first"], [True])
    assert [one.part for one in prove(wish, told)] == ["first", "second"]
    assert ran == ["first", "second"]
    prove(replace(wish, again=True, parts=("second",)), told)
    assert ran == ["first", "second", "second"]
    prove(replace(wish, seed=8), told)
    assert ran[3:] == ["first", "second"]
    (wish.store / "brainseg-1.0" / "model-card.json").write_text("{}")  # another release
    prove(replace(wish, seed=8), told)
    assert ran[5:] == ["first", "second"]


def test_two_commands_at_once_lose_nothing_of_each_other(
    wish: Wish, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*_: object) -> Path:
        monkeypatch.setattr(run, "make_store", lambda folder, *_: folder)
        prove(replace(wish, parts=("second",)), told)
        return wish.out

    monkeypatch.setattr(run, "make_store", meanwhile)
    prove(replace(wish, parts=("first",)), told)
    assert ran == ["second", "first"]
    assert set(record.read(wish.out)) == {"first", "second"}


def test_a_failed_claim_and_an_error_fail_the_part_and_the_others_go_on(wish: Wish, ran: list[str]) -> None:
    first, second = prove(replace(wish, short=False), told)
    assert (first.passed, second.passed) == (False, False)
    assert [row.passed for row in first.rows] == [True, True, False, None]
    assert first.rows[0].command == "./scripts/prove first --seed 7"
    (broken,) = prove(replace(wish, count={COUNT: 20}, parts=("second",)), told)
    assert not broken.passed
    assert "no room" in str(broken.rows[-1].seen)
    assert broken.rows[-1].command == f"./scripts/prove second --short --seed 7 --count {COUNT}=20"


def test_the_page_and_the_json_say_the_same(wish: Wish, ran: list[str]) -> None:
    done = prove(wish, told)
    assert record.read(wish.out) == {one.part: one for one in done}
    page = (wish.out / record.PAGE_FILE).read_text()
    assert "Research use only" in page
    assert "| one \\| of them | measured | a b | yes |" in page
    assert "| with a clock |  | there is none | not tried |" in page
    assert "things 3 of 10; " in page
    assert "Not run" not in page
    assert "Not run: third." in record.page(done, {"first": {}, "third": {}})
    assert page.count("`./scripts/prove first --short --seed 7`") == 1
    assert sorted(path.name for path in wish.out.iterdir()) == [record.JSON_FILE, record.PAGE_FILE]


def test_what_cannot_be_meant_is_said(wish: Wish, ran: list[str]) -> None:
    for wrong, said in (
        (replace(wish, parts=("third",)), "no part third; there are first, second"),
        (replace(wish, count={"frogs": 3}), "nothing counts frogs; there are things"),
    ):
        with pytest.raises(ValueError, match=said):
            prove(wrong, told)
    wish.out.mkdir()
    (wish.out / record.JSON_FILE).write_text(json.dumps({"parts": [{"part": 1}]}))
    with pytest.raises(ValueError, match="is no record of proofs"):
        prove(wish, told)
    assert ran == []


@pytest.mark.parametrize("value", [float("nan"), 10.0])
def test_a_bound_is_not_kept_by_what_is_no_number(value: float) -> None:
    claims = Claims("part", 1, "command")
    claims.at_most("below", 9, value)
    claims.none("nothing", ["a", "b", "c", "d"])
    claims.one_of("a door", ["401", "403"], "200")
    assert [row.passed for row in claims.rows] == [False] * 3
    assert claims.rows[1].seen == "4: a; b; c"
