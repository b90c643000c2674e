"""Which type of tumour a slice shows: the front door's answer as a frozen dataclass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from brainseg_client.asking import Asking
from brainseg_client.results import Model, Notice
from brainseg_client.volumes import Source
from brainseg_client.wire import text

PATH = "/api/v1/classify"


@dataclass(frozen=True)
class Classification:
    """Of one slice. ``label``: the likeliest of the model's classes; ``probabilities``: of each, together 1. The model
    names one of them whatever it sees; ``warnings`` say so. ``raw``: the contract's JSON."""

    model: Model
    slice: int
    label: str
    probabilities: Mapping[str, float]
    warnings: tuple[Notice, ...]
    raw: Mapping[str, Any] = field(repr=False)


def classification(raw: Mapping[str, Any]) -> Classification:
    """From the contract's JSON. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for something else."""
    model = raw["model"]
    return Classification(
        Model(model["name"], model["version"], model["digest"], model["architecture"]),
        raw["slice"],
        str(raw["label"]),
        {str(name): float(chance) for name, chance in raw["probabilities"].items()},
        tuple(Notice(one["code"], one["detail"]) for one in raw["warnings"]),
        raw,
    )


class Names(Asking):
    """What of a client asks for types."""

    def classify(
        self, scan: Source | Mapping[str, Source], *, slice: int | None = None, version: str | None = None
    ) -> Classification:
        """Which of the model's tumours one slice shows. ``slice``: counted from 0, to be given where there are several.
        ``scan`` and errors as of :meth:`brainseg_client.api.Client.segment`; :class:`NotFoundError` from a server that
        has no such model."""
        fields = {} if slice is None else {"slices": text(slice)}
        reply = self._segment(scan, fields, version, "application/json", path=PATH)
        return self._read(lambda: classification(reply.json()))
