"""What an answer was made from and what came out, so that it can be made again and compared: the field ``passport``.

The record goes out in an envelope (DSSE) without a signature: the front door signs it, for there the key is out of
reach of what decodes scans."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.answer import Summary, figures
from handler.card import ModelCard
from handler.engines import Engine
from handler.fields import PARSERS, Fields

KIND = "application/vnd.brainseg.passport+json"
HEADER = "X-BrainSeg-Passport"  # base64 of the envelope's JSON, as it stands in a JSON answer
FORMAT = 1
DIGESTS_FILE = "digests.json"  # of the archive, over all its members
# What is drawn or how a mask is written changes no pixel of it.
WITHOUT_EFFECT = ("outputs", "slices", "seg", "passport")


@dataclass(frozen=True)
class Build:
    """Digests, None where no archive was unpacked: ``archive``: of :data:`DIGESTS_FILE`, and by it of every member;
    ``code``: of the handler, its settings and pins, the same for all archives of one checkout."""

    archive: str | None = None
    code: str | None = None

    @classmethod
    def of(cls, folder: Path) -> Build:
        """Of an unpacked archive."""
        try:
            content = (folder / DIGESTS_FILE).read_bytes()
            return cls(f"sha256:{hashlib.sha256(content).hexdigest()}", str(json.loads(content)["build"]))
        except (OSError, ValueError, KeyError, TypeError):
            return cls()


class MaskDigest:
    """SHA-256 over the mask as uint8, 1 for tumour or the values of its labels, rows of a slice after rows, slice after
    slice."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._shape: tuple[int, ...] = ()
        self._slices = 0

    def add(self, mask: NDArray[np.bool_] | NDArray[np.uint8]) -> None:
        """``mask``: (h, w), the next slice."""
        self._digest.update(np.ascontiguousarray(mask, np.uint8).tobytes())
        self._shape = mask.shape
        self._slices += 1

    def as_json(self) -> dict[str, Any]:
        return {"sha256": self._digest.hexdigest(), "shape": [self._slices, *self._shape]}


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return value if isinstance(value, str) else repr(value)


_SPOKEN: dict[str, Callable[[Any], str]] = {"register": lambda rigid: "rigid" if rigid else "none"}


def fields_as_sent(fields: Fields) -> dict[str, str]:
    """The fields that shape the mask, as text to be sent again: ``parse_fields`` of it gives the same. Those that are
    None are left out: their default depends on the file and the model alone."""
    values = {name: getattr(fields, name) for name in PARSERS if name not in WITHOUT_EFFECT}
    return {name: _SPOKEN.get(name, _text)(value) for name, value in values.items() if value is not None}


def _library(name: str) -> str | None:
    try:
        return f"{name} {importlib.metadata.version(name)}"
    except importlib.metadata.PackageNotFoundError:
        return None


def engine_record(engine: Engine, card: ModelCard) -> dict[str, Any]:
    """Name, library, arithmetic and files of what ran the network. ``threads``: sums over channels may be split by
    them."""
    files = card.engines.get(engine.name, (card.weights,))
    return {
        "name": engine.name,
        "library": _library(engine.name),
        "threads": engine.threads,
        "device": str(getattr(engine, "device", "cpu")),
        "precision": str(getattr(engine, "dtype", "float32")).removeprefix("torch."),
        "files": {record.file: record.sha256 for record in files},
    }


def record(
    build: Build,
    card: ModelCard,
    engine: Engine,
    scans: Mapping[str, bytes],
    fields: Fields,
    summary: Summary,
    mask: MaskDigest,
) -> dict[str, Any]:
    """The passport's content. ``scans``: whole files by part, as sent; ``fields``: with the defaults filled in."""
    return {
        "format": FORMAT,
        "input": {part: f"sha256:{hashlib.sha256(scan).hexdigest()}" for part, scan in sorted(scans.items())},
        "model": {"name": card.name, "version": card.version, "weights": card.weights.sha256},
        "archive": build.archive,
        "code": build.code,
        "engine": engine_record(engine, card),
        "settings": fields_as_sent(fields),
        "figures": figures(summary),
        "mask": mask.as_json() if summary.assessed else None,
    }


def unsigned(content: Mapping[str, Any]) -> dict[str, Any]:
    """The envelope around ``content``, nobody's signature in it yet."""
    payload = base64.b64encode(json.dumps(content, allow_nan=False).encode()).decode("ascii")
    return {"payloadType": KIND, "payload": payload, "signatures": []}


def header_of(envelope: Mapping[str, Any]) -> dict[str, str]:
    """The header that carries ``envelope`` beside any kind of answer."""
    return {HEADER: base64.b64encode(json.dumps(envelope).encode()).decode("ascii")}
