"""What the parts conclude from what they see, without a server."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from prove import faults, hostile, neighbours, orientations
from prove.doors import LEFT, left, slip
from prove.drawn.volumes import ORIENTATIONS, phantom
from prove.faults import refused
from prove.hostile import SHARES, Input, Tally, turns_of_ways
from prove.killed import Kept, Manager, Reader
from prove.memory import Look, judge
from prove.neighbours import differences
from prove.parts import PARTS
from prove.proof import Claims, Ground
from prove.server import Server
from prove.usage import MIB, Taken, Usage, same_processes
from prove.ways import Reply
from prove.ways.http import HttpWay
from tests.waiting import until


def test_no_amount_is_shared_by_name_unless_it_is_meant_to_be() -> None:
    names = Counter(name for part in PARTS.values() for name in part.whole)
    assert {name for name, count in names.items() if count > 1} == {"kills"}
    assert all(part.whole.keys() == part.short.keys() for part in PARTS.values())
    assert all(part.short[name] <= part.whole[name] for part in PARTS.values() for name in part.whole)


def test_a_tally_tells_a_fault_from_a_refusal() -> None:
    tally = Tally({})
    one = Input(7, "png", "png-grey", b"")
    for reply in (
        Reply(200, "ok"),
        Reply(422, "corrupt_image"),
        Reply(500, "internal_error"),
        Reply(0, "lost"),
        Reply(400, "odd"),
    ):
        tally.take("front door REST", one, reply)
    tally.take("C-STORE", one, Reply(400, "0xC000"))
    assert len(tally.faults) == 2
    assert all("input 7 (png-grey)" in fault for fault in tally.faults)
    assert tally.unknown == ["front door REST, input 7 (png-grey): 400 odd"]
    assert tally.codes["C-STORE"] == {"0xC000": 1}


def test_each_hundred_inputs_go_every_way_and_so_do_few() -> None:
    order = turns_of_ways()
    assert Counter(order) == SHARES
    assert set(order[:20]) == set(SHARES)


class Counting(HttpWay):
    """Sends nothing, and writes down what it was given."""

    def __init__(self, name: str, sent: list[bytes]) -> None:
        super().__init__(name, None)  # type: ignore[arg-type]
        self._sent = sent

    def send(self, scans: Sequence[bytes]) -> list[Reply]:
        self._sent += scans
        return [Reply(422, "corrupt_image") for _ in scans]


def test_two_turns_send_what_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostile, "ROUND", 4)
    monkeypatch.setattr(hostile, "_judge", lambda *_: None)
    monkeypatch.setattr(hostile, "look", lambda *_: Usage({}, (0, 0)))
    server: Any = SimpleNamespace(processes=dict, temporary=tmp_path)

    def turn(sent: list[bytes], count: int, kept: dict[str, Any]) -> Claims:
        claims = Claims("hostile", 1, "command")
        ground = Ground(1, {hostile.INPUTS: count}, tmp_path, tmp_path, tmp_path, kept=kept)
        hostile.send_all(server, [Counting(name, sent) for name in SHARES], ground, claims)
        return claims

    whole: list[bytes] = []
    parts: list[bytes] = []
    kept: dict[str, Any] = {}
    whole_claims = turn(whole, 12, {})
    turn(parts, 4, kept)
    kept = json.loads(json.dumps(kept))  # as it is recorded
    claims = turn(parts, 12, kept)
    assert parts == whole
    assert kept["done"] == 12
    assert [row.seen for row in claims.rows] == [row.seen for row in whole_claims.rows]
    over = Ground(1, {hostile.INPUTS: 99}, tmp_path, tmp_path, tmp_path, kept=kept, ends=0.0)
    hostile.send_all(server, [], over, Claims("hostile", 1, "command"))
    assert kept["done"] == 12


def test_kills_add_up_over_turns(tmp_path: Path) -> None:
    def reader(answers: int, gap: float, *faults: str) -> Reader:
        return Reader("", [], [], 0, answers, gap, list(faults))

    first = Kept(kept := {})
    first.killed("worker")
    first.read([reader(3, 1.5), reader(4, 0.5, "lost")])
    second = Kept(json.loads(json.dumps(kept)))
    second.killed("jvm")
    second.killed("worker")
    second.read([reader(5, 1.0, "wrong")])
    assert (second.done, second.told, second.answers) == (3, "worker 2, jvm 1", 12)
    assert (second.faults, second.gap) == (["lost", "wrong"], 1.5)


def looks(growth: float, handles: int = 0, files: int = 0) -> list[Look]:
    found = []
    for step in range(41):
        share = step / 40
        taken = Taken(5, int(100 * MIB * (1 + growth * share)), 20 + int(handles * share), 10)
        found.append(Look(step * 100, Usage({"worker": taken}, (int(files * share), 0))))
    return found


@pytest.mark.parametrize(
    ("seen", "failed"),
    [
        (looks(0.02), []),
        (looks(0.30), ["growth"]),
        (looks(0, handles=400), ["handles"]),
        (looks(0, files=99), ["temporary"]),
    ],
)
def test_growth_is_noticed(seen: list[Look], failed: list[str]) -> None:
    claims = Claims("memory", 1, "command")
    judge(seen, 1000, claims)
    wrong = [row.claim for row in claims.rows if not row.passed]
    assert len(wrong) == len(failed), wrong
    assert all(word in claim for word, claim in zip(failed, wrong, strict=True))


def test_another_process_in_the_same_role_is_one_that_died() -> None:
    before = Usage({"worker": Taken(1, 0, 0, 0), "jvm": Taken(2, 0, 0, 0)}, (0, 0))
    after = Usage({"worker": Taken(3, 0, 0, 0)}, (0, 0))
    assert same_processes(before, before) == []
    assert same_processes(before, after) == ["worker", "jvm"]


def test_a_mirrored_mask_has_wrong_voxels() -> None:
    scan = phantom((16, 13, 6), turn=ORIENTATIONS[7])
    expected = scan.landmarks_mm()
    assert orientations.wrong(expected, expected) == 0
    assert orientations.wrong(expected * (-1, 1, 1), expected) == 6
    assert orientations.wrong(expected[:2], expected) == 1
    assert orientations.wrong(np.empty((0, 3)), expected) == 3
    found = orientations.written(replace(scan), "classic DICOM")
    assert [orientations.wrong(points, expected) for points in found.values()] == [0, 0]


def test_what_slipped_out_would_be_found(tmp_path: Path) -> None:
    assert left(tmp_path) == []
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / f"x-{LEFT}").touch()
    assert left(tmp_path) == [str(tmp_path / "a" / f"x-{LEFT}")]
    assert LEFT.encode() in slip()


def test_a_start_that_cannot_be_is_told_by_its_last_line(tmp_path: Path) -> None:
    class Refusing(Server):
        text = "BrainSeg did not start: --port 1 is taken"

        def start(self) -> None:
            raise RuntimeError(f"the server did not start:\n{self.text}\n")

    server = Refusing(tmp_path, tmp_path / "state")
    assert refused(server) == "BrainSeg did not start: --port 1 is taken"
    server.text = "Traceback (most recent call last):\nKeyError: 1"  # type: ignore[misc]
    assert refused(server) == "traceback"


def test_a_manager_starts_again_what_has_ended(tmp_path: Path) -> None:
    class Brief(Server):
        def start(self) -> None:
            self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], text=True)

    server = Brief(tmp_path, tmp_path / "state")
    server.start()
    manager = Manager(server)
    manager.start()
    try:
        first = server.process
        assert first is not None
        first.kill()
        first.wait()
        until(lambda: server.process is not first, "it was not started again")
        assert server.process is not None
        assert server.process.poll() is None
        assert manager.starts == 1
    finally:
        manager.stop()
        server.kill()


def test_neighbours_add_up_over_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight answers that are what they are alone, but for one beside the second mutated neighbour."""
    sent: list[neighbours.Asked] = []
    place = -1

    class Batch:
        def __init__(self, *_: object) -> None:
            pass

        def send(self, one: neighbours.Asked) -> Any:
            return SimpleNamespace(status_code=200, json=lambda: {"size": len(one[0]), "timing_ms": len(sent)})

        def together(self, asked: list[neighbours.Asked]) -> list[Any]:
            sent.append(asked[len(sent) % neighbours.SIZE])
            return [self.send((b"", {}) if len(sent) == fixed + 2 else one) for one in asked]

        def close(self) -> None:
            nonlocal place
            place = len(sent)

    def turn(kept: dict[str, Any], count: int, ends: float = math.inf) -> Claims:
        claims = Claims("neighbours", 1, "command")
        ground = Ground(1, {neighbours.MUTATED: count}, tmp_path, tmp_path, tmp_path, kept=kept, ends=ends)
        neighbours.compare(server, "archive", ground, claims)
        assert place == len(sent)  # it was taken away again
        return claims

    server: Any = SimpleNamespace(worker_pids=lambda: [1])
    monkeypatch.setattr(neighbours, "Batch", Batch)
    monkeypatch.setattr(neighbours, "tifffile_of", lambda _side: b"large")
    fixed = sum(1 for _ in neighbours.bad(1, 0))
    kept: dict[str, Any] = {}
    turn(kept, 1, ends=0.0)
    assert (sent, kept["done"]) == ([], 0)
    turn(kept, 1)
    kept = json.loads(json.dumps(kept))  # as it is recorded
    claims = turn(kept, 3)
    assert sent == [asked for _, asked in neighbours.bad(1, 3)]
    assert (kept["done"], claims.rows[0].seen) == (3, f"{fixed + 3}; {7 * (fixed + 3)}")
    assert [row.passed for row in claims.rows] == [True, False, True, True]
    assert str(claims.rows[1].seen).startswith("7: scan 0 beside mutated ")


def test_more_orientations_begin_with_fewer_and_all_are_all() -> None:
    all_of_them = orientations.some(48)
    assert len({one.tobytes() for one in all_of_them}) == 48
    for few in (1, 4, 30):
        assert all(np.array_equal(one, other) for one, other in zip(orientations.some(few), all_of_them, strict=False))


def test_faults_add_up_over_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def turn(kept: dict[str, Any], count: int = 5, ends: float = math.inf) -> list[bool | None]:
        claims = Claims("faults", 1, "command")
        faults.run(Ground(1, {faults.REPEATS: count}, tmp_path, tmp_path, tmp_path, kept=kept, ends=ends), claims)
        return [row.passed for row in claims.rows]

    def first(_ground: Ground, claims: Claims) -> None:
        tried.append("first")
        claims.equal("it held", 1, 2)

    def second(_ground: Ground, _claims: Claims) -> None:
        tried.append("second")
        raise OSError("no room")

    monkeypatch.setattr(faults, "FAULTS", (first,))
    kept: dict[str, Any] = {}
    assert turn(kept) == [False]
    assert kept["done"] == 5
    monkeypatch.setattr(faults, "FAULTS", (first, second))
    assert turn(kept, ends=0.0) == [False, None]
    assert kept["done"] == 0
    kept = json.loads(json.dumps(kept))  # as it is recorded
    assert turn(kept) == [False, False]
    assert (kept["done"], tried) == (5, ["first", "second"])
    turn(kept, 6)
    assert tried[2:] == ["first", "second"]


def test_an_answer_that_differs_is_told_by_where() -> None:
    one = {"verdict": "a", "slices": [{"images": {"mask": "x"}}, {"images": {"mask": "y"}}], "only": 1}
    other = {"verdict": "a", "slices": [{"images": {"mask": "x"}}, {"images": {"mask": "z"}}]}
    assert list(differences(one, other)) == ["/only", "/slices/1/images/mask"]
    assert list(differences(one, one)) == []
    assert list(differences([1], [1, 2])) == ["/"]
