"""What came in -> the sequences of one patient: which volume is which, and how that is known."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from handler.errors import RequestError
from handler.limits import DEFAULT_LIMITS, Limits
from handler.scan import Warn
from handler.volumes.candidate import Candidate
from handler.volumes.offers import Offer, offer
from handler.volumes.sequences import CHANNELS, NAMES, Recognised
from handler.volumes.volume import Volume

FILE = "file"
PARTS = (FILE, *CHANNELS)
# Their messages quote what the file says, a patient's name included; what matters comes out as a refusal.
for _library in ("pydicom", "nibabel", "nibabel.global", "highdicom"):
    logging.getLogger(_library).setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Found:
    """How a channel's volume was recognised. ``how``: ``inversion_time``, ``times``, ``contrast`` or ``description``
    (:class:`handler.volumes.sequences.Recognised`), ``named`` (the client named the part, or chose the series) or
    ``only_one`` (there was nothing else, and nothing against it). ``reason``: a sentence's worth, free of texts from
    the file. ``series``: its number in the upload, counted from 1."""

    how: str
    reason: str
    series: int


@dataclass(frozen=True, eq=False)
class Study:
    """One patient's sequences, each on the grid it was taken on. ``t1``, ``t1c``: None where there is none. ``found``:
    for each channel that is there. ``warnings``: those of the volumes, and of choosing among them."""

    flair: Volume
    t1: Volume | None
    t1c: Volume | None
    found: Mapping[str, Found]
    warnings: tuple[Warn, ...] = ()


def _listed(candidates: Sequence[Candidate]) -> str:
    shown = "; ".join(candidate.shown for candidate in candidates[:20])
    return shown + (f"; and {len(candidates) - 20} more" if len(candidates) > 20 else "")


def _several(part: str, candidates: Sequence[Candidate], why: str) -> RequestError:
    return RequestError(
        "several_series",
        f"The part '{part}' holds {len(candidates)} series, {why}: {_listed(candidates)}. Name the FLAIR by the field "
        "series, such as series=1, or send one series a part (flair, t1, t1c).",
    )


def _numbered(part: str, candidates: Sequence[Candidate], number: int) -> Candidate:
    if number > len(candidates):
        raise RequestError(
            "invalid_parameter",
            f"Field series is {number}, but the part '{part}' holds {len(candidates)} series: {_listed(candidates)}.",
        )
    return candidates[number - 1]


def _found(recognised: Recognised, number: int) -> Found:
    return Found(recognised.how, recognised.reason, number)


def _of(candidates: Sequence[Candidate], channel: str) -> list[Candidate]:
    return [c for c in candidates if c.recognised is not None and c.recognised.channel == channel]


def _one(part: str, candidates: Sequence[Candidate], channel: str, number: int | None) -> tuple[Candidate, Found]:
    """The volume of ``channel`` in a part that holds it and perhaps more."""
    if number is not None:
        return _numbered(part, candidates, number), Found("named", "chosen by the field series", number)
    if len(candidates) == 1 and part != FILE:
        return candidates[0], Found("named", f"sent as the part '{part}'", 1)
    alike = _of(candidates, channel)
    if len(alike) == 1 and alike[0].recognised:
        return alike[0], _found(alike[0].recognised, alike[0].number)
    if len(candidates) == 1:
        return candidates[0], Found("only_one", "the only volume that was sent", 1)
    why = "several of them look like" if alike else "none of them looks like"
    raise _several(part, candidates, f"{why} {NAMES[channel]}")


def _beside(
    candidates: Sequence[Candidate], flair: Candidate, channel: str
) -> tuple[Candidate | None, tuple[Warn, ...]]:
    """T1 or T1 with contrast out of the FLAIR's own upload: the one in the FLAIR's plane, else the first."""
    alike = [c for c in _of(candidates, channel) if c is not flair]
    if not alike:
        return None, ()
    best = min(alike, key=lambda c: (c.plane != flair.plane, c.number))
    if len(alike) == 1:
        return best, ()
    numbers = ", ".join(str(c.number) for c in alike)
    detail = f"series {numbers} look like {NAMES[channel]}: {best.number} was taken; send it as the part '{channel}' "
    return best, (Warn("several_candidates", detail + "to choose another"),)


def _choose(offers: Mapping[str, Offer], series: int | None) -> tuple[dict[str, tuple[Candidate, Found]], list[Warn]]:
    part = "flair" if "flair" in offers else FILE
    candidates = offers[part].candidates
    chosen = {"flair": _one(part, candidates, "flair", series)}
    told: list[Warn] = []
    for channel in ("t1", "t1c"):
        if channel in offers:
            chosen[channel] = _one(channel, offers[channel].candidates, channel, None)
        elif part == FILE:
            other, warned = _beside(candidates, chosen["flair"][0], channel)
            told.extend(warned)
            if other is not None and other.recognised is not None:
                chosen[channel] = other, _found(other.recognised, other.number)
    return chosen, told


def _check_parts(parts: Mapping[str, bytes]) -> None:
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        raise RequestError("invalid_parameter", f"Unknown part {unknown[0][:40]!r}; expected {', '.join(PARTS)}.")
    if FILE in parts and "flair" in parts:
        raise RequestError("invalid_parameter", "Both 'file' and 'flair' are given; send the FLAIR once.")
    if FILE not in parts and "flair" not in parts:
        raise RequestError("no_image", "There is no FLAIR: send it as the part 'flair', or everything as 'file'.")
    empty = [name for name, data in parts.items() if not data]
    if empty:
        raise RequestError("no_image", f"The part '{empty[0]}' is empty (0 bytes); expected a NIfTI, DICOM or zip.")


def _doubts(chosen: Mapping[str, tuple[Candidate, Found]]) -> list[Warn]:
    told = []
    for channel, (candidate, found) in chosen.items():
        other = candidate.recognised
        if found.how in ("named", "only_one") and other is not None and other.channel != channel:
            detail = (
                f"taken for {NAMES[channel]} ({found.reason}), but looks like {NAMES[other.channel]}: {other.reason}"
            )
            told.append(Warn("looks_otherwise", detail))
    if chosen["flair"][1].how == "only_one":
        told.append(Warn("taken_for_flair", "the only volume that was sent was taken for FLAIR"))
    missing = [NAMES[channel] for channel in ("t1", "t1c") if channel not in chosen]
    if missing:
        told.append(Warn("missing_sequence", f"there is no {' and no '.join(missing)}"))
    return told


def _loaded(channel: str, candidate: Candidate, others: int, named: bool) -> Volume:
    """Decoded; a refusal says of which sequence, where there are several."""
    try:
        return candidate.load(others)
    except RequestError as refusal:
        if not named:
            raise
        raise RequestError(refusal.code, f"{NAMES[channel]}: {refusal.detail}") from None


def read_study(parts: Mapping[str, bytes], series: int | None = None, limits: Limits = DEFAULT_LIMITS) -> Study:
    """The sequences in ``parts``: name -> bytes of a whole file. Names: ``file`` (a FLAIR alone, or a study with
    everything), or ``flair`` with ``t1`` and ``t1c`` where there are any; ``t1`` and ``t1c`` may come beside ``file``
    too. Each a NIfTI, a DICOM file or a zip.

    ``series``: which series of ``file`` (or ``flair``) is the FLAIR, counted from 1; None: the one recognised.

    Raises :class:`RequestError` and nothing else: ``no_image``, ``invalid_parameter``, ``too_large``,
    ``unsupported_format``, ``unsupported_shape``, ``corrupt_image``, ``not_mr``, ``inconsistent_series`` or
    ``several_series``. No message and no warning holds a text from inside of a file, or a file's name."""
    _check_parts(parts)
    for data in parts.values():
        limits.check_bytes(len(data))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            offers = {name: offer(name, data, limits) for name, data in parts.items()}
            chosen, told = _choose(offers, series)
            volumes: dict[str, Volume] = {}
            for channel, (candidate, _) in chosen.items():
                others = sum(volume.voxels.size for volume in volumes.values())
                volumes[channel] = _loaded(channel, candidate, others, len(chosen) > 1)
    except RequestError:
        raise
    except Exception as error:
        # Libraries meet hostile bytes in here and raise whatever they trip over; their words may be a patient's.
        raise RequestError(
            "corrupt_image",
            f"The scan cannot be decoded ({type(error).__name__}). It may be cut off or damaged; export it again.",
        ) from None
    all_warnings = [w for o in offers.values() for w in o.warnings] + told + _doubts(chosen)
    for channel, volume in volumes.items():
        all_warnings += [Warn(w.code, f"{NAMES[channel]}: {w.detail}") for w in volume.warnings]
    return Study(
        volumes["flair"],
        volumes.get("t1"),
        volumes.get("t1c"),
        {channel: found for channel, (_, found) in chosen.items()},
        tuple(all_warnings),
    )
