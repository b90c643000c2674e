"""What the values of a mask of several classes mean: its labels, the regions that are unions of them, and which of them
a network's channels are. Read from the model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

SOFTMAX, SIGMOID = "softmax", "sigmoid"
ACTIVATIONS = (SOFTMAX, SIGMOID)
MOST_LABELS = 15  # a map each is held of all slices
LONGEST_NAME = 64  # a Segment Label in DICOM (LO)


@dataclass(frozen=True)
class Code:
    """A coded concept: SNOMED CT (``SCT``), DICOM (``DCM``), or another scheme of up to 16 characters."""

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        for name, longest in (("value", 16), ("scheme", 16), ("meaning", 64)):
            _check_text(f"code {name}", getattr(self, name), longest)


@dataclass(frozen=True)
class Label:
    """``value``: in the mask, from 1 on. ``colour``: red, green and blue, 0..255. ``code``: of what it shows."""

    value: int
    name: str
    colour: tuple[int, int, int]
    code: Code

    def __post_init__(self) -> None:
        if not _whole(self.value) or not 1 <= self.value <= MOST_LABELS:
            raise ValueError(f"label value {self.value!r}: expected a whole number, 1 to {MOST_LABELS}")
        _check_text(f"name of label {self.value}", self.name, LONGEST_NAME)
        if len(self.colour) != 3 or not all(_whole(c) and 0 <= c <= 255 for c in self.colour):
            raise ValueError(f"colour {self.colour!r} of label {self.name}: expected three whole numbers, 0 to 255")


@dataclass(frozen=True)
class Region:
    """A union of ``labels``, by their values. ``threshold``: 0 < t < 1, where a network with a channel a region finds
    it. ``writes``: for such a network the value that it writes into the mask, over those of the regions before it."""

    name: str
    labels: tuple[int, ...]
    threshold: float = 0.5
    writes: int | None = None

    def __post_init__(self) -> None:
        _check_text("name of a region", self.name, LONGEST_NAME)
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels {list(self.labels)} of region {self.name}: expected one or more, each once")
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold {self.threshold} of region {self.name}: expected 0 < threshold < 1")
        if self.writes is not None and self.writes not in self.labels:
            raise ValueError(f"region {self.name} writes {self.writes}: expected one of its labels {list(self.labels)}")


@dataclass(frozen=True)
class Labelling:
    """``labels``: values 1..n in this order. ``activation``: one of :data:`ACTIVATIONS`. With ``softmax`` the network
    has n + 1 channels, none and the labels in their order, and ``regions`` may be empty. With ``sigmoid`` it has a
    channel a region, and each region says what it writes; in this order each label is written by one of them."""

    labels: tuple[Label, ...]
    regions: tuple[Region, ...]
    activation: str

    def __post_init__(self) -> None:
        values = [label.value for label in self.labels]
        if not values or values != list(range(1, len(values) + 1)):
            raise ValueError(f"label values {values}: expected 1, 2, ... in this order")
        for what, named in (("labels", self.labels), ("regions", self.regions)):
            names = [one.name for one in named]
            if len(set(names)) != len(names):
                raise ValueError(f"names of {what} {names}: expected each once")
        for region in self.regions:
            if not set(region.labels) <= set(values):
                raise ValueError(f"labels {list(region.labels)} of region {region.name}: expected some of {values}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(f"activation {self.activation!r}: expected one of {', '.join(ACTIVATIONS)}")
        written = [region.writes for region in self.regions]
        if self.activation == SOFTMAX and any(one is not None for one in written):
            raise ValueError(f"regions write {written}: with {SOFTMAX} the labels have channels of their own")
        if self.activation == SIGMOID and sorted(one or 0 for one in written) != values:
            raise ValueError(f"regions write {written}: with {SIGMOID} expected each of {values} once")

    @property
    def channels(self) -> int:
        """That the network gives."""
        return self.maps + 1 if self.activation == SOFTMAX else self.maps

    @property
    def maps(self) -> int:
        """Of probabilities that are kept: with softmax one a label (what is left is none's), with sigmoid one a
        region."""
        return len(self.labels) if self.activation == SOFTMAX else len(self.regions)


def labelling_of(labels: Sequence[str | Label], regions: tuple[Region, ...], activation: str) -> Labelling | None:
    """Of a card; None where its labels are none, or a classifier's names. Raises ``ValueError`` for what does not fit
    together."""
    known = tuple(one for one in labels if isinstance(one, Label))
    if not known:
        if regions or activation:
            raise ValueError("regions and activation say what the labels of a segmentation are; the card has none")
        return None
    if len(known) != len(labels):
        raise ValueError(f"labels {list(labels)}: expected names alone, or a value and colour for each of them")
    return Labelling(known, regions, activation)


def check_classes(labels: Sequence[str | Label], labelling: Labelling | None, classes: int, classifies: bool) -> None:
    """Raises ``ValueError`` where a network of so many ``classes`` cannot be what the card's labels say."""
    if labelling is not None and not classifies:
        if classes != labelling.channels:
            raise ValueError(
                f"{classes} classes for {labelling.activation} over {len(labelling.labels)} labels and "
                f"{len(labelling.regions)} regions: expected {labelling.channels}"
            )
        return
    wanted = classes if classifies else 0
    if labelling is not None or len(labels) != wanted or len(set(labels)) != wanted:
        raise ValueError(f"labels {list(labels)}: expected {wanted}, each once")


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_text(what: str, text: object, longest: int) -> None:
    """Raises ``ValueError`` for what a DICOM text cannot hold: it would be found out when a mask is written."""
    if not isinstance(text, str) or not text.strip() or len(text) > longest or not text.isprintable() or "\\" in text:
        raise ValueError(f"{what} is {text!r}: expected 1 to {longest} printable characters without a backslash")


def labels_of(raw: Sequence[Any]) -> tuple[str | Label, ...]:
    """From a card's JSON: a classifier's names, or the labels of a mask. Raises ``ValueError``, or ``TypeError`` and
    ``KeyError`` where a member is missing, unknown or of the wrong kind."""
    return tuple(one if isinstance(one, str) else _label(one) for one in raw)


def _label(raw: Any) -> Label:
    return Label(**{**raw, "colour": tuple(raw["colour"]), "code": Code(**raw["code"])})


def regions_of(raw: Sequence[Any]) -> tuple[Region, ...]:
    """From a card's JSON; raises what :func:`labels_of` does."""
    return tuple(Region(**{**one, "labels": tuple(one["labels"])}) for one in raw)
