"""The sequences of a study -> the three channels of the network, on the FLAIR's grid: laid over each other, scaled, the
missing ones replaced as in the training set. And what was done to each, for the answer."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.card import SEQUENCES
from handler.errors import RequestError
from handler.scan import Warn
from handler.volumes.register import Motion, register
from handler.volumes.resample import Laid, check_cover, check_frame, onto
from handler.volumes.scale import Scale, scale_of
from handler.volumes.sequences import NAMES
from handler.volumes.study import Found, Study
from handler.volumes.volume import Volume
from handler.wanted import ask

ORDER = SEQUENCES
MISSING = "missing"


@dataclass(frozen=True, eq=False)
class Sequence:
    """A channel's origin. ``volume``, ``found``, ``laid`` and ``scale`` are None where the sequence is missing, and
    ``motion`` where it was not registered."""

    channel: str
    volume: Volume | None = None
    found: Found | None = None
    laid: str | None = None
    covered: float | None = None
    motion: Motion | None = None
    scale: Scale | None = None

    def as_json(self) -> dict[str, Any]:
        """An entry of the answer's ``sequences``; no text from the file is in it."""
        volume, found, motion = self.volume, self.found, self.motion
        return {
            "channel": self.channel,
            "recognised": found.how if found else MISSING,
            "reason": found.reason if found else f"no {NAMES[self.channel]}: FLAIR stands in for it, as in training",
            "series": found.series if found else None,
            "format": volume.format if volume else None,
            "sha256": volume.sha256 if volume else None,
            "size": list(volume.grid.size) if volume else None,
            "spacing_mm": [round(mm, 4) for mm in volume.grid.spacing_mm] if volume else None,
            "resampled": self.laid,
            "covered_percent": None if self.covered is None else round(100 * self.covered, 1),
            "registered": None
            if motion is None
            else {"shift_mm": round(motion.shift_mm, 2), "turn_degrees": round(motion.turn_degrees, 2)},
            "intensity": self.scale.as_json() if self.scale else None,
        }


@dataclass(frozen=True, eq=False)
class Channels:
    """``flair``: the volume whose grid the others are on and the mask will be. ``planes``: uint8 (slices, rows,
    columns) each, in :data:`ORDER`, 0..255 as the published pictures; a stand-in is the FLAIR's very array.
    ``sequences``: in the same order."""

    flair: Volume
    planes: tuple[NDArray[np.uint8], ...]
    sequences: tuple[Sequence, ...]
    warnings: tuple[Warn, ...]


def _flat(channel: str, scale: Scale) -> tuple[Warn, ...]:
    if not scale.flat:
        return ()
    return (Warn("low_dynamic_range", f"{NAMES[channel]} has one value throughout: there is nothing to be seen in it"),)


def _moved(channel: str, volume: Volume, flair: Volume) -> tuple[Motion | None, tuple[Warn, ...]]:
    """The motion that is to be taken, or None and a warning that says why it is not."""
    motion = register(volume, flair)
    if motion.doubt is None:
        return motion, ()
    detail = f"{NAMES[channel]} stays where its coordinates put it: {motion.doubt}"
    return None, (Warn("not_registered", detail),)


def _beside(
    channel: str, volume: Volume, found: Found, flair: Volume, stand_in: NDArray[np.uint8], registered: bool
) -> tuple[Sequence, NDArray[np.uint8], tuple[Warn, ...]]:
    """T1 or T1 with contrast, on the FLAIR's grid."""
    motion, warnings = _moved(channel, volume, flair) if registered else (None, ())
    warnings += check_frame(channel, flair, volume, motion is not None)
    ask()
    placed = volume if motion is None else dataclasses.replace(volume, grid=motion.grid)
    laid: Laid = onto(placed, flair.grid)
    warnings += check_cover(channel, laid)
    ask()
    scale = scale_of(volume.voxels, channel)
    plane = scale.to_uint8(laid.voxels)
    if laid.how == "trilinear":
        beyond = np.isnan(laid.voxels)
        plane[beyond] = stand_in[beyond]
    sequence = Sequence(channel, volume, found, laid.how, laid.covered, motion, scale)
    return sequence, plane, warnings + _flat(channel, scale)


def channels_of(study: Study, registered: bool = False) -> Channels:
    """``registered``: T1 and T1 with contrast are moved rigidly to where they agree best with the FLAIR.

    Raises ``geometry_mismatch`` where a sequence and the FLAIR do not overlap, ``invalid_parameter`` where registration
    is asked for and not installed. Warnings: ``not_registered``, ``other_frame_of_reference``, ``partly_covered``,
    ``low_dynamic_range``, and those of ``study``."""
    flair = study.flair
    scale = scale_of(flair.voxels, "flair")
    own = scale.to_uint8(flair.voxels)
    warnings = study.warnings + _flat("flair", scale)
    made = {"flair": (Sequence("flair", flair, study.found["flair"], "same_grid", 1.0, None, scale), own)}
    for channel, volume in (("t1", study.t1), ("t1c", study.t1c)):
        if volume is None:
            made[channel] = Sequence(channel), own
            continue
        sequence, plane, told = _beside(channel, volume, study.found[channel], flair, own, registered)
        made[channel] = sequence, plane
        warnings += told
    planes = tuple(made[channel][1] for channel in ORDER)
    return Channels(flair, planes, tuple(made[channel][0] for channel in ORDER), warnings)


def check_seen(channels: Channels, seen: tuple[str, ...]) -> tuple[Warn, ...]:
    """The warnings of ``channels`` that concern a network that sees the sequences ``seen``. Raises ``no_image`` where
    none of them is there: the FLAIR in the place of all would be another picture than it knows."""
    missing = [one.channel for one in channels.sequences if one.volume is None and one.channel in seen]
    if len(missing) == len(seen):
        names, parts = (" or ".join(words) for words in ([NAMES[n] for n in missing], [f"'{n}'" for n in missing]))
        raise RequestError(
            "no_image", f"This model sees {names}, and the scan has none; send it as the part {parts} beside the FLAIR."
        )
    if seen == ORDER:
        return channels.warnings
    others = tuple(warning for warning in channels.warnings if warning.code != "missing_sequence")
    if not missing:
        return others
    return (*others, Warn("missing_sequence", f"there is no {' and no '.join(NAMES[name] for name in missing)}"))
