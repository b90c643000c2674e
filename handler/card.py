"""The model card: what the weights are, how to run them, where they come from. Written by code, read by the handler."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from handler.depth import VOLUME, View, view_of
from handler.files import sha256_of, write_atomic
from handler.labels import Label, Labelling, Region, check_classes, labelling_of, labels_of, regions_of

CARD_FILE = "model-card.json"
CARD_FORMAT = 1
CLASSIFIER = "classifier"  # the decoder of a network that has none
OVER_VOLUMES = "unet3d"  # the decoder of one over three axes
# Fields that cards of before lack, and what they are there.
LATER: dict[str, Any] = {"trust": {}, "serving": {}, "labels": [], "regions": [], "activation": ""}
SEQUENCES = ("t1", "flair", "t1c")  # red, green and blue of the published pictures
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Architecture:
    """What :func:`handler.network.build` needs. ``encoder`` is a name of segmentation_models_pytorch.

    ``logits_at``: 1, 2 or 4; the decoder ends at that part of the input's side and its logits are brought up to it, so
    that the costliest blocks, those on the full grid, are left out. There is a channel number for each block left."""

    decoder: str = "unet"
    encoder: str = "vgg16"
    decoder_channels: tuple[int, ...] = (256, 128, 64, 32, 16)
    in_channels: int = 3
    classes: int = 1
    logits_at: int = 1

    @property
    def classifies(self) -> bool:
        """Whether it names a class for a slice (:mod:`handler.classifier`), ``decoder_channels`` then the widths of its
        head; else it marks pixels."""
        return self.decoder == CLASSIFIER

    @property
    def label(self) -> str:
        """As the answer shows it, such as ``unet-vgg16``."""
        return f"{self.decoder}-{self.encoder}"


@dataclass(frozen=True)
class InputSpec:
    """The network's grid in pixels, and the per-channel normalisation of RGB in 0..1. ``sequences``: what its channels
    are, of :data:`SEQUENCES` and in that order; a grey picture is taken for any of them. ``depth``: how many slices it
    sees at a time, see :func:`handler.depth.view_of`."""

    height: int = 256
    width: int = 256
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    sequences: tuple[str, ...] = SEQUENCES
    depth: int | str = 1

    @property
    def view(self) -> View:
        """What ``depth`` means. Raises ``ValueError`` for one that means nothing."""
        return view_of(self.depth)

    @property
    def channels(self) -> list[int]:
        """Of red, green and blue those that the network sees."""
        return [SEQUENCES.index(name) for name in self.sequences]

    def check(self, in_channels: int) -> None:
        """Raises ``ValueError`` where the sequences are none, or not as many as there are numbers for them."""
        known = [name for name in SEQUENCES if name in self.sequences]
        if not known or list(self.sequences) != known:
            raise ValueError(
                f"input.sequences {list(self.sequences)}: expected one or more of {', '.join(SEQUENCES)}, in this order"
            )
        planes = self.view.planes
        channels = in_channels / planes if in_channels % planes else in_channels // planes
        counts = {"in_channels": channels, "mean": len(self.mean), "std": len(self.std)}
        if wrong := {name: count for name, count in counts.items() if count != len(known)}:
            each = f" and each of {planes} slices" if planes > 1 else ""
            named = f"{len(known)} input.sequences ({', '.join(known)})"
            raise ValueError(f"{named}, but {wrong}: expected one for each{each}")


@dataclass(frozen=True)
class Calibration:
    """Probability = sigmoid(scale * logit + offset) (Platt, 1999). The identity until it has been fitted. Of a network
    of several classes each may be a number a channel, before softmax too (vector scaling: Guo et al., 2017)."""

    scale: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0

    def check(self, channels: int | None) -> None:
        """Raises ``ValueError`` for several numbers but ``channels``; None: for several at all."""
        for name, number in (("scale", self.scale), ("offset", self.offset)):
            if isinstance(number, tuple) and len(number) != channels:
                wanted = "one number" if channels is None else f"one number, or {channels}, one a channel"
                raise ValueError(f"calibration.{name} {list(number)}: expected {wanted}")

    @property
    def platt(self) -> tuple[float, float]:
        """Scale and offset of the one channel. Raises ``ValueError`` where there are several."""
        if isinstance(self.scale, tuple) or isinstance(self.offset, tuple):
            raise ValueError("a calibration of several channels has no one scale and offset")
        return self.scale, self.offset


@dataclass(frozen=True)
class HeadCrop:
    """The network sees the head's box only: pixels brighter than ``threshold`` (0..1, any channel) on the network's
    grid, and ``margin`` pixels around. Released only where it was shown to leave the figures as they are."""

    threshold: float = 0.05
    margin: int = 16


@dataclass(frozen=True)
class FileRecord:
    """A file beside the card: its name, its digest as ``sha256:<hex>``, its size in bytes."""

    file: str
    sha256: str
    bytes: int

    @classmethod
    def of(cls, path: Path) -> FileRecord:
        return cls(path.name, sha256_of(path), path.stat().st_size)

    def verify(self, folder: Path) -> None:
        """Raises ``ValueError`` when the file in ``folder`` is not the recorded one."""
        found = sha256_of(folder / self.file)
        if found != self.sha256:
            raise ValueError(
                f"{self.file} has digest {found}, its model card says {self.sha256}: the file was changed or swapped. "
                "Package the release again from weights you trust."
            )


@dataclass(frozen=True)
class ModelCard:
    """All a server needs to run a release and all a reader needs to judge it.

    ``threshold``: 0 < t < 1, a pixel is tumour above it; ``min_lesion_pixels``: components smaller than this are
    dropped; both are defaults that a request may override. ``engines``: files by engine, and ``parity``: how far
    each is from the reference, and ``serving``: which of them was chosen and why, written at packaging. ``trust``:
    ``gate`` and ``quality``, as :mod:`handler.trust` reads them; cards of before lack both. ``labels``: a classifier's
    classes in the order of its logits; of a segmentation of several classes what its mask's values mean, and then
    ``regions`` and ``activation`` as :class:`handler.labels.Labelling` has them; none of another network. ``data``,
    ``recipe``, ``metrics``, ``known_answers`` and ``libraries`` are JSON objects documented by the code that writes
    them.
    """

    name: str
    version: str
    weights: FileRecord
    architecture: Architecture = Architecture()
    input: InputSpec = InputSpec()
    threshold: float = 0.5
    min_lesion_pixels: int = 0
    calibration: Calibration = Calibration()
    crop: HeadCrop | None = None
    engines: Mapping[str, tuple[FileRecord, ...]] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    known_answers: tuple[Mapping[str, Any], ...] = ()
    libraries: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    licences: Mapping[str, str] = field(default_factory=dict)
    intended_use: str = "Research use only. Not a medical device."
    limits: tuple[str, ...] = ()
    trust: Mapping[str, Any] = field(default_factory=dict)
    serving: Mapping[str, Any] = field(default_factory=dict)
    labels: tuple[str | Label, ...] = ()
    regions: tuple[Region, ...] = ()
    activation: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ValueError(f"threshold {self.threshold}: expected 0 < threshold < 1")
        if self.min_lesion_pixels < 0:
            raise ValueError(f"min_lesion_pixels {self.min_lesion_pixels}: expected 0 or more")
        if self.input.height % 32 or self.input.width % 32:
            raise ValueError(f"input {self.input.height} x {self.input.width}: each side must be divisible by 32")
        self.input.check(self.architecture.in_channels)
        if (self.input.depth == VOLUME) != (self.architecture.decoder == OVER_VOLUMES):
            raise ValueError(f"input.depth {self.input.depth!r} of a {self.architecture.label}")
        if self.input.depth == VOLUME and self.labels:
            raise ValueError("a network over volumes has one class; the card has labels")
        self.calibration.check(self.labelling.channels if self.labelling else None)
        check_classes(self.labels, self.labelling, self.architecture.classes, self.architecture.classifies)
        if Path(self.weights.file).name != self.weights.file:
            raise ValueError(f"weights file {self.weights.file!r}: expected a plain file name beside the card")

    @property
    def names(self) -> tuple[str, ...]:
        """Of its labels."""
        return tuple(one.name if isinstance(one, Label) else one for one in self.labels)

    @cached_property
    def labelling(self) -> Labelling | None:
        """What the mask's values mean; None where they are tumour and none, and of a classifier. Raises ``ValueError``
        for labels, regions and an activation that do not fit each other."""
        return labelling_of(self.labels, self.regions, self.activation)

    @property
    def trust_records(self) -> tuple[FileRecord, ...]:
        """The files beside the card that ``trust`` needs. Raises ``ValueError`` where they are not named as such."""
        gate = self.trust.get("gate")
        if gate is None:
            return ()
        try:
            return (FileRecord(**gate["weights"]),)
        except (KeyError, TypeError) as error:
            raise ValueError(f"the card's trust.gate does not name its file: {error!r}") from error

    def to_json(self) -> str:
        content = {"card_format": CARD_FORMAT, **asdict(self)}
        for name in LATER:
            if not content[name]:
                del content[name]  # a card of before stays what it was, byte for byte
        if self.input.sequences == InputSpec.sequences:
            del content["input"]["sequences"]  # likewise
        if self.input.depth == InputSpec.depth:
            del content["input"]["depth"]  # likewise
        if content["architecture"]["logits_at"] == Architecture.logits_at:
            del content["architecture"]["logits_at"]  # likewise
        return json.dumps(content, indent=2, sort_keys=False) + "\n"

    def write(self, folder: Path) -> Path:
        path = folder / CARD_FILE
        write_atomic(path, self.to_json().encode())
        return path

    def with_changes(self, **changes: Any) -> ModelCard:
        """A copy with some fields replaced (an unknown name is a ``TypeError``)."""
        return replace(self, **changes)


PARTS = {"weights": FileRecord, "architecture": Architecture, "input": InputSpec, "calibration": Calibration}


def _check_names(raw: Mapping[str, Any], kind: type, place: str) -> None:
    """Raises ``ValueError`` unless ``raw`` has exactly the fields of the dataclass ``kind``."""
    names = {f.name for f in fields(kind)}
    if missing := sorted(names - raw.keys()):
        raise ValueError(f"{place} lacks {', '.join(missing)}")
    if unknown := sorted(raw.keys() - names):
        raise ValueError(f"{place} has unknown {', '.join(unknown)}")


def parse_card(text: str) -> ModelCard:
    """The card in ``text`` (JSON). Raises ``ValueError`` that names what is wrong: another format number, a field
    missing, unknown or of the wrong kind."""
    try:
        raw = json.loads(text)
        if raw.pop("card_format") != CARD_FORMAT:
            raise ValueError(f"card_format is not {CARD_FORMAT}")
        for name in LATER:
            raw.setdefault(name, LATER[name])
        _check_names(raw, ModelCard, "the card")
        raw["architecture"].setdefault("logits_at", 1)  # cards from before 2.1 have none
        raw["input"].setdefault("sequences", SEQUENCES)
        raw["input"].setdefault("depth", 1)
        for name, kind in PARTS.items():
            _check_names(raw[name], kind, name)
        architecture = {**raw["architecture"], "decoder_channels": tuple(raw["architecture"]["decoder_channels"])}
        spec = {**raw["input"], **{name: tuple(raw["input"][name]) for name in ("mean", "std", "sequences")}}
        raw |= {
            "weights": FileRecord(**raw["weights"]),
            "architecture": Architecture(**architecture),
            "input": InputSpec(**spec),
            "calibration": Calibration(
                **{name: tuple(n) if isinstance(n, list) else n for name, n in raw["calibration"].items()}
            ),
            "crop": HeadCrop(**raw["crop"]) if raw.get("crop") else None,
            "engines": {name: tuple(FileRecord(**f) for f in files) for name, files in raw["engines"].items()},
            "known_answers": tuple(raw["known_answers"]),
            "limits": tuple(raw["limits"]),
            "trust": dict(raw["trust"]),
            "serving": dict(raw["serving"]),
            "labels": labels_of(raw["labels"]),
            "regions": regions_of(raw["regions"]),
        }
        return ModelCard(**raw)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"not a BrainSeg model card of format {CARD_FORMAT}: {error!r}") from error


def read_card(folder: Path) -> ModelCard:
    """The card in ``folder``. Raises ``FileNotFoundError`` or ``ValueError``."""
    return parse_card((folder / CARD_FILE).read_text(encoding="utf-8"))
