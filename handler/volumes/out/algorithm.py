"""What made a mask, and the codes for what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from handler.labels import Code

NOTICE = "Research use only. Not a medical device."


@dataclass(frozen=True)
class Algorithm:
    """``version``: the model's. ``settings``: what shaped the mask, as (name, value), such as ``threshold``; it is
    written into the objects, so the same mask by other settings is another object with a UID of its own."""

    version: str
    settings: tuple[tuple[str, str], ...] = ()
    name: str = "brainseg"

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Segment:
    """A class of the mask: ``number`` is its value there. ``color``: CIELab, for viewers that take the hint."""

    number: int
    label: str
    category: Code
    type: Code
    color: tuple[float, float, float]


BRAIN = Code("12738006", "SCT", "Brain")
# One today. A card with labels gives more of them: SEG and SR go through this tuple, one segment and one group each.
SEGMENTS = (
    Segment(
        1,
        "Tumor",
        Code("49755003", "SCT", "Morphologically Abnormal Structure"),
        Code("108369006", "SCT", "Neoplasm"),
        (53.2, 80.1, 67.2),
    ),
)


def coded(code: Code) -> Any:
    """As highdicom's CodedConcept."""
    from highdicom.sr import CodedConcept

    return CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)
