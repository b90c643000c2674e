"""A full batch: its items are worked on side by side, large ones in turn, and each gets the answer it gets alone."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from handler import service, turns
from handler.card import HeadCrop
from handler.pipeline import Model
from handler.resources import MOST_AT_ONCE, plan
from handler.service import BrainSegService
from handler.wanted import UnwantedError, asking
from prove.drawn.pictures import jpeg, png, tiff
from samples.phantom import draw, draw_stack
from tests.contract import check_answer
from tests.handler.models import FLAIR_RULE, SmallEngine, model
from tests.handler.test_service import GOOD, context_of

WAIT_SECONDS = 120


class Meeting(SmallEngine):
    """Answers only when ``count`` calls are being made at a time; ``most``: how many there were at most."""

    def __init__(self, count: int) -> None:
        super().__init__(FLAIR_RULE)
        self._all, self._lock = threading.Barrier(count, timeout=WAIT_SECONDS), threading.Lock()
        self._inside, self.most = 0, 0

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._lock:
            self._inside += 1
            self.most = max(self.most, self._inside)
        if self._all.parties > 1:
            self._all.wait()
        else:
            time.sleep(0.05)  # long enough for another to come, if it may
        found = super().logits(images)
        with self._lock:
            self._inside -= 1
        return found


def started(monkeypatch: pytest.MonkeyPatch, served: Model) -> BrainSegService:
    monkeypatch.setattr(service, "open_model", lambda *_, **__: served)
    made = BrainSegService()
    made.initialize(context_of())
    return made


def ask(running: BrainSegService, *scans: bytes, headers: dict[str, Any] = GOOD) -> tuple[Any, list[bytes]]:
    context = context_of(*[headers] * len(scans))
    return context, running.handle([{"body": bytearray(scan)} for scan in scans], context)


@pytest.fixture
def slices() -> list[bytes]:
    return [png(draw(seed, 0.08).image) for seed in range(4)]


def test_items_are_in_the_network_at_the_same_time(
    flair: Model, slices: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Meeting(4)
    running = started(monkeypatch, replace(flair, engine=engine))
    context, bodies = ask(running, *slices)
    assert [context.get_response_status(index)[0] for index in range(4)] == [200] * 4
    assert engine.most == 4
    assert len({check_answer(body)["input"]["sha256"] for body in bodies}) == 4


def test_each_gets_the_answer_it_gets_alone(slices: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit: pictures, counts and the probability map; a stack, a broken file and a fault beside them."""
    whole = model(FLAIR_RULE, crop=HeadCrop(0.1, 0))
    running = started(monkeypatch, whole)
    pages = tiff([page.image for page in draw_stack(5, 6)], photometric="rgb")
    headers = {"Content-Type": "application/octet-stream", "X-BrainSeg-Outputs": "mask,overlay,probability"}
    scans = [slices[0], slices[1][:300], pages, slices[2], b"text", jpeg(draw(7, 0.08).image), slices[3]]
    context, bodies = ask(running, *scans, headers=headers)
    statuses = [context.get_response_status(index)[0] for index in range(len(scans))]
    assert statuses == [200, 422, 200, 200, 415, 200, 200]
    for index, scan in enumerate(scans):
        lone, (body,) = ask(running, scan, headers=headers)
        assert lone.get_response_status(0)[0] == statuses[index]
        if statuses[index] != 200:
            assert bodies[index] == body
            continue
        together, alone = check_answer(bodies[index]), check_answer(body)
        del together["timing_ms"], alone["timing_ms"]
        assert together == alone


def test_a_fault_of_ours_stays_with_its_item(slices: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    class Faulty(SmallEngine):
        def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
            if threading.current_thread() is not threading.main_thread():
                raise ArithmeticError
            return super().logits(images)

    running = started(monkeypatch, replace(model(FLAIR_RULE), engine=Faulty(FLAIR_RULE)))
    context, bodies = ask(running, slices[0], slices[1])
    check_answer(bodies[0])
    assert context.get_response_status(1)[0] == 500
    assert json.loads(bodies[1])["code"] == "internal_error"


LARGE = np.zeros((1600, 1600, 3), np.uint8)


@pytest.mark.parametrize(
    "large",
    [png(LARGE), jpeg(LARGE), tiff([LARGE] * 2, compression="zlib", photometric="rgb")],
    ids=["png", "jpeg", "a tiff decoded later"],
)
def test_large_scans_take_turns(flair: Model, large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Meeting(1)
    running = started(monkeypatch, replace(flair, engine=engine))
    context, _ = ask(running, large, large, large, headers={**GOOD, "X-BrainSeg-Outputs": "none"})
    assert [context.get_response_status(index)[0] for index in range(3)] == [200] * 3
    assert engine.most == 1
    assert not turns._turn.locked()


def test_what_is_refused_gives_its_turn_back(flair: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    running = started(monkeypatch, flair)
    broken = png(LARGE)[:-40]
    context, _ = ask(running, broken, broken, jpeg(LARGE)[:600])
    assert [context.get_response_status(index)[0] for index in range(3)] == [422] * 3
    assert not turns._turn.locked()


def test_who_waits_for_a_turn_says_so_and_may_give_up(
    flair: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Waiting touches the file that stands for a wanted answer; that gone, the wait ends."""
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.01)
    monkeypatch.setenv("BRAINSEG_WANTED", str(tmp_path))
    name = "0" * 32
    kept = tmp_path / name
    kept.touch()
    ended = threading.Event()

    def wait() -> None:
        try:
            with asking({"x-wanted": name}), turns.Turn() as turn:
                turn._take()
        except UnwantedError:
            ended.set()

    with turns.Turn() as mine:
        mine._take()
        thread = threading.Thread(target=wait)
        thread.start()
        before = kept.stat().st_mtime_ns
        deadline = time.monotonic() + WAIT_SECONDS
        while kept.stat().st_mtime_ns == before and time.monotonic() < deadline:
            time.sleep(0.01)
        assert kept.stat().st_mtime_ns > before
        kept.unlink()
        assert ended.wait(WAIT_SECONDS)
        thread.join()


def test_how_many_at_once() -> None:
    one, two, many = plan(1), plan(2), plan(64)
    assert (one.workers, one.threads, one.at_once, one.delay_ms) == (1, 1, 1, 0)
    # Without a delay TorchServe's batches have two items at most; a lone request waits for nobody.
    assert (two.workers, two.threads, two.at_once, two.delay_ms) == (1, 2, 2, 0)
    assert (many.workers, many.threads, many.at_once, many.delay_ms) == (1, 64, MOST_AT_ONCE, 1)
