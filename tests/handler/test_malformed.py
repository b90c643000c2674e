"""Whatever bytes come, the core answers with a refusal of the contract, or 200 where the damage did no harm."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.card import InputSpec
from handler.decode import decode
from handler.outcome import Outcome
from handler.pipeline import Model, answer
from prove.drawn.whole import whole_pictures
from tests.contract import check_answer, check_problem
from tests.handler.models import FLAIR_RULE, model
from tests.malformed import malformed_inputs

# What some of the files must be called; for the rest any refusal of the contract will do.
EXPECTED = {
    "text": "unsupported_format",
    "zip": "unsupported_format",
    "dicom": "not_mr",
    "animated gif": "unsupported_format",
    "animated png": "unsupported_format",
    "one byte": "unsupported_format",
    "cmyk jpeg": "unsupported_shape",
    "png 1 x 1": "unsupported_shape",
    "tiff of 5 channels": "unsupported_shape",
    "tiff of unequal pages": "unsupported_shape",
    "tiff with a nan": "corrupt_image",
    "tiff of 64-bit integers": "unsupported_format",
    "png that claims 60,000 x 60,000": "too_large",
    "jpeg that claims 60,000 x 60,000": "too_large",
    "tiff that claims 60,000 x 60,000": "too_large",
    "tiff whose pages go in a circle": "corrupt_image",
    "tiff whose next page is beyond the end": "corrupt_image",
    "tiff of 1-pixel tiles": "too_large",
    "tiff of 201 pages": "too_large",
    "tiff with a deflate bomb": "corrupt_image",
    "tiff with a large jpeg in a small page": "corrupt_image",
    "tiff with a jpeg hidden behind fill bytes": "corrupt_image",
    "png with a pixel bomb": "corrupt_image",
    "png with a text bomb": "ok",
    "png with a profile bomb": "ok",
    "jpeg of 500 scans": "too_large",
}


@pytest.fixture(scope="module")
def small() -> Model:
    return model(FLAIR_RULE, input=InputSpec(32, 32))


def ask(model: Model, data: bytes) -> Outcome:
    headers = {"X-BrainSeg-Outputs": "mask", "Content-Type": "application/octet-stream"}
    return answer(model, {"body": bytearray(data)}, headers)


def check(outcome: Outcome) -> None:
    reply = outcome.answer
    assert reply.status < 500
    if reply.status == 200:
        check_answer(reply.body)
    else:
        check_problem(reply.status, reply.content_type, reply.body, outcome.code)


INPUTS = malformed_inputs()


def test_there_are_enough_and_they_are_always_the_same() -> None:
    assert len(INPUTS) >= 200
    assert len({name for name, _ in INPUTS}) == len(INPUTS)
    assert max(len(data) for _, data in INPUTS) < 1_000_000
    assert malformed_inputs() == INPUTS


@pytest.mark.parametrize("name", list(whole_pictures()))
def test_the_files_that_get_damaged_are_whole(name: str) -> None:
    assert min(decode(whole_pictures()[name]).pixels.shape[1:3]) >= 32


def test_each_is_refused_or_answered(small: Model) -> None:
    counted: Counter[str] = Counter()
    for name, data in INPUTS:
        begin = time.process_time()
        outcome = ask(small, data)
        try:
            check(outcome)
            assert outcome.code == EXPECTED.get(name, outcome.code)
            assert time.process_time() - begin < 5
        except AssertionError as error:
            raise AssertionError(f"{name}: {outcome.answer.status} {outcome.answer.body[:300]!r}") from error
        counted[outcome.code] += 1
    assert set(EXPECTED) <= {name for name, _ in INPUTS}
    assert counted["ok"] < 0.35 * len(INPUTS), counted


def test_a_cut_file_is_never_taken_for_whole(small: Model) -> None:
    """But for the last two bytes, an end marker or padding."""
    for name, data in INPUTS:
        if "/cut at" in name and len(data) + 2 < len(whole_pictures()[name.split("/")[0]]):
            assert ask(small, data).code != "ok", name


@pytest.mark.parametrize("name", list(whole_pictures()))
@given(data=st.data())
def test_any_damage(small: Model, name: str, data: st.DataObject) -> None:
    damaged = bytearray(whole_pictures()[name])
    places = st.tuples(st.integers(0, len(damaged) - 1), st.integers(0, 255))
    for place, value in data.draw(st.lists(places, min_size=1, max_size=8)):
        damaged[place] = value
    check(ask(small, bytes(damaged)))


@given(
    head=st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b""]), tail=st.binary()
)
def test_any_bytes_behind_any_magic(small: Model, head: bytes, tail: bytes) -> None:
    check(ask(small, head + tail))
