"""Rows, their record, and going on where it ended."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prove import record, run
from prove.proof import Claims, Ground, Part
from prove.run import Wish, prove
from tests.tiny import write_tiny_release

COUNT = "things"


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    write_tiny_release(tmp_path / "store")
    return Wish((), tmp_path / "out", tmp_path / "work", tmp_path / "store", "1.0", seed=7, short=True)


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


def test_a_turn_in_which_nothing_could_be_counted_is_gone_on_from(
    wish: Wish, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of faults: each is done wholly, and all of them are what counts; other amounts are another proof."""

    def work(ground: Ground, claims: Claims) -> None:
        found = ground.kept.setdefault("found", [])
        found.append(ground.effort["size"])
        ground.kept["done"] = ground.effort[COUNT] if len(found) == 2 else 0
        claims.shown("found", str(found))

    part = Part("third", "in turns", work, {COUNT: 10, "size": 2}, {COUNT: 3, "size": 1}, COUNT)
    monkeypatch.setattr(run, "PARTS", {"third": part})
    whole = replace(wish, short=False)
    (done,) = prove(whole, told)
    assert (done.effort[COUNT], done.rows[0].command) == (0, "./scripts/prove third --seed 7")
    assert f"{COUNT} 0 of 10; " in (wish.out / record.PAGE_FILE).read_text()
    (done,) = prove(whole, told)
    assert (done.effort[COUNT], done.rows[0].seen) == (10, "[2, 2]")
    assert prove(whole, told) == [done]
    (done,) = prove(replace(whole, count={"size": 5}), told)
    assert done.rows[0].seen == "[5]"


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


def test_a_change_in_another_room_leaves_a_record_as_it_is(
    wish: Wish, ran: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A part that serves nothing does not depend on the release either."""
    for file in ("handler/read.py", "prove/fuzzing.py", "web/door.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("")
    monkeypatch.setattr(run.record, "digest_of", functools.partial(record.digest_of, root=tmp_path))
    first = replace(run.PARTS["first"], rooms=("handler", "prove/fuzzing.py"), served=False)
    second = replace(run.PARTS["second"], rooms=("handler", "web"))
    monkeypatch.setattr(run, "PARTS", {"first": first, "second": second})
    prove(wish, told)
    (tmp_path / "web" / "door.py").write_text("changed = True")
    prove(wish, told)
    assert ran == ["first", "second", "second"]
    (wish.store / "brainseg-1.0" / "model-card.json").write_text("{}")
    prove(wish, told)
    assert ran[3:] == ["second"]
    (tmp_path / "prove" / "fuzzing.py").write_text("changed = True")
    prove(wish, told)
    assert ran[4:] == ["first"]


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


def test_a_store_is_made_once_and_where_it_is_served(
    wish: Wish, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def make(folder: Path, *_: object) -> None:
        folder.mkdir(parents=True)
        made.append(ran[-1])

    monkeypatch.setattr(run, "make_store", make)
    third = replace(run.PARTS["first"], name="third", served=False)
    monkeypatch.setattr(run, "PARTS", {"third": third, **run.PARTS})
    prove(wish, told)
    assert (ran, made) == (["third", "first", "second"], ["third"])


def test_two_turns_of_one_part_at_once_are_made_one(
    wish: Wish, ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One decoder each, side by side: what the other has recorded meanwhile is neither lost nor counted twice."""
    begun: list[str] = []

    def work(ground: Ground, claims: Claims) -> None:
        (kind,) = ground.only
        assert ground.work == wish.work
        if not begun:
            begun.append(kind)
            prove(replace(whole, decoders=("jpeg",)), told)
        if len(begun) == 1 and kind == "png" and ground.kept.get("turns"):
            raise OSError("no room")
        ground.kept.setdefault("of", {})[kind] = ground.effort[COUNT]
        ground.kept["done"] = 0
        claims.shown("found", str(ground.kept["of"]))

    def join(one: Mapping[str, Any], other: Mapping[str, Any], claims: Claims) -> dict[str, Any]:
        both = {**one["of"], **other.get("of", {})}
        claims.shown("found", str(both))
        return {"of": both, "done": 4}

    part = Part("fuzz", "at once", work, {COUNT: 10}, {COUNT: 3}, COUNT, join)
    monkeypatch.setattr(run, "PARTS", {"fuzz": part})
    whole = replace(wish, short=False, parts=("fuzz",), decoders=("png",))
    (done,) = prove(whole, told)
    assert record.read(wish.out)["fuzz"] == done
    assert (done.effort[COUNT], done.kept["turns"]) == (4, 2)
    assert [row.seen for row in done.rows] == ["{'jpeg': 10, 'png': 10}"]
    begun.clear()  # the next breaks, and loses nothing of the other
    (done,) = prove(whole, told)
    assert [row.passed for row in done.rows] == [True, False]
    assert done.kept["of"] == {"jpeg": 10, "png": 10}


def test_the_record_is_written_by_one_at_a_time(wish: Wish) -> None:
    wish.out.mkdir()
    with record.alone(wish.out):
        other = threading.Thread(target=write_nothing, args=(wish.out,), daemon=True)
        other.start()
        other.join(0.2)
        assert other.is_alive()
        assert not (wish.out / record.JSON_FILE).exists()
    other.join(60)
    assert not other.is_alive()
    assert record.read(wish.out) == {}


def write_nothing(folder: Path) -> None:
    with record.alone(folder):
        record.write(folder, [], {})


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
        (replace(wish, decoders=("bmp",)), "no decoder bmp; there are png, jpeg, "),
        (replace(wish, decoders=("png",)), "decoders are chosen for the part fuzz alone"),
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
