"""Mutators: the same damage for the same seed, deep enough to meet the readers, and readers that hold."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from handler.card import InputSpec
from handler.pipeline import answer
from prove.drawn.whole import whole_pictures, whole_volumes
from prove.hostile import inputs, known
from prove.mutate import MUTATORS, format_of
from prove.mutate.dicom import elements_of, split
from prove.mutate.jpeg import segments_of
from prove.mutate.png import chunks_of
from prove.mutate.tiff import directories_of
from tests.handler.models import FLAIR_RULE, model

WHOLE = {**whole_pictures(), **whole_volumes()}


@pytest.mark.parametrize("name", list(WHOLE))
def test_damage_is_the_same_for_the_same_seed_and_is_damage(name: str) -> None:
    mutate = MUTATORS[format_of(name)]
    found = [mutate(WHOLE[name], random.Random(seed)) for seed in range(12)]
    assert found == [mutate(WHOLE[name], random.Random(seed)) for seed in range(12)]
    assert len(set(found)) > 8
    assert sum(one != WHOLE[name] for one in found) > 8


def test_the_structure_is_read_as_it_is() -> None:
    assert [kind for kind, _ in chunks_of(WHOLE["png-rgb16-exif"])] == [b"IHDR", b"eXIf", b"tEXt", b"IDAT", b"IEND"]
    segments, pixels = segments_of(WHOLE["jpeg-rgb"])
    assert segments[-1][0] == 0xDA
    assert pixels.endswith(b"\xff\xd9")
    for name, pages in (("tiff-plain", 2), ("tiff-lzw-big-endian", 2), ("tiff-big-float", 1)):
        found = directories_of(WHOLE[name])
        assert len(found) == pages
        assert all(len(one.entries) > 7 for one in found)
    for name in ("slice", "slice implicit"):
        _, dataset = split(WHOLE[name])
        elements = elements_of(dataset, "implicit" in name)
        assert b"".join(one.written() for one in elements) == dataset
        assert elements[-1].tag == (0x7FE0, 0x0010)


def test_inputs_are_made_again_by_seed_and_number() -> None:
    first = list(inputs(1, range(50)))
    assert list(inputs(1, range(30, 50))) == first[30:]
    assert [one.data for one in inputs(2, range(50))] != [one.data for one in first]
    assert {one.kind for one in inputs(1, range(200))} == set(MUTATORS)
    assert {one.kind for one in inputs(1, range(20), ("dicom",))} == {"dicom"}


def test_each_is_refused_with_a_code_or_answered() -> None:
    small = model(FLAIR_RULE, input=InputSpec(32, 32))
    counted: Counter[str] = Counter()
    for one in inputs(3, range(400)):
        outcome = answer(small, {"body": bytearray(one.data)}, {"X-BrainSeg-Outputs": "mask"})
        assert outcome.answer.status < 500, one
        assert known("front door REST", outcome.code), one
        counted[outcome.code] += 1
    assert len(counted) >= 6, counted  # they get past the first look
    assert 20 < counted["ok"] < 300, counted
