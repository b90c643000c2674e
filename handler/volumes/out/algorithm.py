"""What made a mask, and the codes for what it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from handler.labels import Code, Label

NOTICE = "Research use only. Not a medical device."
BRAIN = Code("12738006", "SCT", "Brain")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
NEOPLASM = Code("108369006", "SCT", "Neoplasm")


@dataclass(frozen=True)
class Segment:
    """A class of the mask: ``number`` is its value there. ``color``: CIELab, or ``rgb``, 0..255, for viewers that take
    the hint."""

    number: int
    label: str
    category: Code
    type: Code
    color: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rgb: tuple[int, int, int] | None = None


TUMOR = (Segment(1, "Tumor", ABNORMAL, NEOPLASM, (53.2, 80.1, 67.2)),)


@dataclass(frozen=True)
class Algorithm:
    """``version``: the model's. ``settings``: what shaped the mask, as (name, value), such as ``threshold``; it is
    written into the objects, so the same mask by other settings is another object with a UID of its own. ``segments``:
    what the mask's values 1, 2, ... are; SEG and SR go through them, one segment and one group each."""

    version: str
    settings: tuple[tuple[str, str], ...] = ()
    name: str = "brainseg"
    segments: tuple[Segment, ...] = TUMOR

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"


def segments_of(labels: Sequence[Label]) -> tuple[Segment, ...]:
    """Of a card's labels."""
    return tuple(Segment(one.value, one.name, ABNORMAL, one.code, rgb=one.colour) for one in labels)


def coded(code: Code) -> Any:
    """As highdicom's CodedConcept."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)
