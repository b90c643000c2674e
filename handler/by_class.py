"""What the answer says of a mask's labels and regions: how much there is of each, and how sure the network was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from handler.card import ModelCard
from handler.measure import Part, SliceMeasurement


def probability(value: float) -> float:
    """As answers round it."""
    return round(value, 5)


def by_class(
    card: ModelCard, slices: Sequence[SliceMeasurement], assessed: bool, voxel_ml: float | None
) -> dict[str, Any]:
    """What was found by label and by region over ``slices``; null where the card has no labels. The ``volume_ml`` is
    of scans with geometry."""
    labelling = card.labelling
    if labelling is None:
        return {"labels": None, "regions": None}

    def told(parts: Sequence[Part]) -> dict[str, Any]:
        pixels, highest = sum(part.pixels for part in parts), max(part.max_probability for part in parts)
        volume = None if voxel_ml is None else round(pixels * voxel_ml, 4)
        values = {"pixels": pixels, "volume_ml": volume, "max_probability": probability(highest)}
        return values if assessed else dict.fromkeys(values)

    labels = [
        {"value": label.value, "name": label.name, "colour": list(label.colour), "code": asdict(label.code)}
        | told([one.labels[index] for one in slices])
        for index, label in enumerate(labelling.labels)
    ]
    regions = [
        {"name": region.name, "labels": list(region.labels)} | told([one.regions[index] for one in slices])
        for index, region in enumerate(labelling.regions)
    ]
    return {"labels": labels, "regions": regions}


def by_class_of_slice(card: ModelCard, found: SliceMeasurement, assessed: bool) -> dict[str, Any]:
    """The same of one slice, named as shortly as can be: there may be hundreds."""
    labelling = card.labelling
    if labelling is None:
        return {"labels": None, "regions": None}

    def told(part: Part) -> dict[str, Any]:
        if not assessed:
            return {"pixels": None, "max_probability": None}
        return {"pixels": part.pixels, "max_probability": probability(part.max_probability)}

    labels = zip(labelling.labels, found.labels, strict=True)
    regions = zip(labelling.regions, found.regions, strict=True)
    return {
        "labels": [{"value": label.value, **told(part)} for label, part in labels],
        "regions": [{"name": region.name, **told(part)} for region, part in regions],
    }
