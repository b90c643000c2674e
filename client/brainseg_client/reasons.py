"""Why the model answered as it did: the front door's explanation as a frozen dataclass."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from brainseg_client.asking import Asking
from brainseg_client.results import Model
from brainseg_client.volumes import Source
from brainseg_client.wire import fields_of

PATH = "/api/v1/explain"
METHODS = ("gradcam", "occlusion")
QUESTIONS = ("verdict", "area")


@dataclass(frozen=True)
class Explanation:
    """Of one slice. ``heat``: 16-bit grey PNG, 0 to 65535 for the values of ``range``; ``overlay``: the scan in its
    colours, PNG; both in the scan's size. ``said``: what is seen; ``deletion``: how far it can be believed, with
    ``faithful`` and ``said`` among its keys; ``raw``: the contract's JSON."""

    model: Model
    slice: int
    method: str
    question: str
    range: tuple[float, float]
    heat: bytes = field(repr=False)
    overlay: bytes = field(repr=False)
    said: str
    deletion: Mapping[str, Any] = field(repr=False)
    seconds: float
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def faithful(self) -> bool:
        """Whether the answer hangs on what is bright more than on parts at random."""
        return bool(self.deletion["faithful"])


def explanation(raw: Mapping[str, Any]) -> Explanation:
    """From the contract's JSON. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for something else."""
    model, (low, high) = raw["model"], raw["range"]
    str(raw["deletion"]["said"]), bool(raw["deletion"]["faithful"])
    return Explanation(
        Model(model["name"], model["version"], model["digest"], model["architecture"]),
        raw["slice"],
        raw["method"],
        raw["question"],
        (low, high),
        base64.b64decode(raw["images"]["heat"]),
        base64.b64decode(raw["images"]["overlay"]),
        raw["said"],
        raw["deletion"],
        raw["seconds"],
        raw,
    )


class Explains(Asking):
    """What of a client asks for explanations."""

    def explain(
        self,
        scan: Source | Mapping[str, Source],
        *,
        method: str | None = None,
        question: str | None = None,
        slice: int | None = None,
        window: int | None = None,
        seconds: int | None = None,
        version: str | None = None,
        threshold: float | None = None,
        gate: str | None = None,
        model: str | None = None,
    ) -> Explanation:
        """What of one slice moves the answer: ``question`` ``verdict`` or ``area``, by ``method`` ``gradcam`` or
        ``occlusion``. ``slice``: counted from 0, to be given where there are several. ``scan`` and errors as of
        :meth:`brainseg_client.api.Client.segment`."""
        given = {
            "method": method,
            "question": question,
            "slice": slice,
            "window": window,
            "seconds": seconds,
            "threshold": threshold,
            "gate": gate,
        }
        fields = fields_of(given)
        reply = self._segment(scan, fields, version, "application/json", path=PATH, model=model)
        return self._read(lambda: explanation(reply.json()))
