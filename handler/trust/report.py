"""What is said about a scan and its mask: was it what the model knows, how good is the mask expected to be. The keys of
``trust`` in the answer; what is unknown is None."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

# In the order in which one is named first where several fit alike.
REASONS = (
    "not_a_brain",
    "nearly_black",
    "saturated",
    "other_plane",
    "other_contrast",
    "upside_down",
    "cropped_head",
    "other_scale",
)
ON, OFF, NONE = "on", "off", "none"  # the gate: it decides, it was overruled, the model has none


@dataclass(frozen=True)
class Judgement:
    """The gate's, of a scan or a slice. ``score``: 0..1, high for what the model knows. ``reasons``: of
    :data:`REASONS`, the likeliest first, empty where accepted."""

    accepted: bool | None = None
    score: float | None = None
    reasons: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        score = None if self.score is None else round(self.score, 4)
        return {"accepted": self.accepted, "score": score, "reasons": list(self.reasons)}


UNJUDGED = Judgement()


@dataclass(frozen=True)
class Quality:
    """Of the mask of a slice. ``expected_dice``: 0..1; ``uncertain``: it is below the card's floor."""

    uncertain: bool | None = None
    expected_dice: float | None = None

    def as_json(self) -> dict[str, Any]:
        dice = None if self.expected_dice is None else round(self.expected_dice, 4)
        return {"uncertain": self.uncertain, "expected_dice": dice}


UNKNOWN = Quality()


@dataclass(frozen=True)
class ScanQuality:
    """Of the mask of a scan. The tumour's size lies in the intervals (low, high) with the probability ``level``."""

    mask: Quality = UNKNOWN
    pixels_interval: tuple[int, int] | None = None
    volume_ml_interval: tuple[float, float] | None = None
    level: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            **self.mask.as_json(),
            "tumor_pixels_interval": list(self.pixels_interval) if self.pixels_interval else None,
            "tumor_volume_ml_interval": [round(ml, 4) for ml in self.volume_ml_interval]
            if self.volume_ml_interval
            else None,
            "interval_level": self.level,
        }


@dataclass(frozen=True)
class Trust:
    """``gate``: :data:`ON`, :data:`OFF` or :data:`NONE`. ``slices``, ``slice_quality``: an entry a slice of the grid
    that the mask is on."""

    gate: str
    scan: Judgement
    slices: tuple[Judgement, ...]
    quality: ScanQuality = ScanQuality()
    slice_quality: tuple[Quality, ...] = field(default=())

    @property
    def refused(self) -> bool:
        """Whether no mask is given."""
        return self.gate == ON and self.scan.accepted is False

    def assessed(self, index: int) -> bool:
        """Whether slice ``index`` gets a mask and numbers."""
        return not self.refused and not (self.gate == ON and self.slices[index].accepted is False)

    def with_quality(self, scan: ScanQuality, slices: Sequence[Quality]) -> Trust:
        """``slices``: one a slice; :data:`UNKNOWN` for those that were not assessed."""
        if len(slices) != len(self.slices):
            raise ValueError(f"got the quality of {len(slices)} slices, expected {len(self.slices)}")
        return replace(self, quality=scan, slice_quality=tuple(slices))

    def as_json(self) -> dict[str, Any]:
        return {**self.scan.as_json(), "gate": self.gate, **self.quality.as_json()}

    def slice_json(self, index: int) -> dict[str, Any]:
        quality = self.slice_quality[index] if self.slice_quality else UNKNOWN
        return {**self.slices[index].as_json(), **quality.as_json()}


def ungated(slices: int) -> Trust:
    """Of a model whose card has no gate."""
    return Trust(NONE, UNJUDGED, (UNJUDGED,) * slices)
