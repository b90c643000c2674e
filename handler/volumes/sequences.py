"""Which sequence a series is: from the times it was taken with; from texts only where times are missing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from handler.volumes.volume import Acquisition

NAMES = {"flair": "FLAIR", "t1": "T1", "t1c": "T1 with contrast"}
CHANNELS = tuple(NAMES)
# Milliseconds. Nulling of cerebrospinal fluid needs an inversion time of some 0.7 of its T1 (about 4.3 s) less what a
# finite repetition time takes off: 1650 (3D, 1.5 T) to 2850. An MPRAGE's is 600 to 1300, a STIR's (fat) 100 to 260.
FLUID_NULLED = (1500.0, 3500.0)
FLAIR_ECHO = 60.0  # and longer: T2 weighting
T1_ECHO = 25.0  # and shorter
T1_GRADIENT_ECHO = 10.0  # a gradient echo beyond that weighs T2*
T1_REPETITION = 1000.0  # of a spin or gradient echo without inversion
T1_INVERSION = (300.0, 1400.0)
TEXT_T1 = re.compile(r"(?<![a-z0-9])(t1(?![0-9])|t1w|mprage|mp.?rage|spgr|bravo|tfl3d)")
TEXT_FLAIR = re.compile(r"flair|dark.?fluid|tirm")
TEXT_OTHER = re.compile(
    r"(?<![a-z0-9])(t2|pd|dwi|dti|adc|swi|tof|angio|mra|localizer|scout|survey|perf|bold|asl|map)|"
    r"(?<![a-z])(mip|trace)(?![a-z])"
)
TEXT_CONTRAST = re.compile(
    r"(?<![a-z])(gd|gad|gado|gadolinium|contrast|post|postcontrast|ce|t1ce|t1gd|t1c|km|mdc|iv)(?![a-z])|\+ ?c(?![a-z])|"
    r"(?<![a-z])c ?\+|t1(w)?[ _-]?(ce|gd|c|post|km)(?![a-z])"
)
TEXT_NO_CONTRAST = re.compile(r"(?<![a-z])(pre|native|nativ|without|non|no|w/?o|ohne|sans)(?![a-z])|- ?c(?![a-z])")


@dataclass(frozen=True)
class Recognised:
    """``channel``: one of :data:`CHANNELS`. ``how``: ``inversion_time``, ``times`` (echo and repetition), ``contrast``
    (a T1 whose header names a contrast agent) or ``description`` (a text of the file, the last resort). ``reason``:
    numbers only, never a text from the file."""

    channel: str
    how: str
    reason: str


def _within(value: float | None, span: tuple[float, float]) -> bool:
    return value is not None and span[0] <= value <= span[1]


def _contrast_in(text: str) -> bool:
    return bool(TEXT_CONTRAST.search(text)) and not TEXT_NO_CONTRAST.search(text)


def _t1(how: str, reason: str, acquisition: Acquisition, text: str) -> Recognised:
    if acquisition.contrast_agent:
        return Recognised("t1c", "contrast", f"{reason}, and a contrast agent in the header")
    if _contrast_in(text):
        return Recognised("t1c", "description", f"{reason}, and the description says so of contrast")
    return Recognised("t1", how, reason)


def recognise(acquisition: Acquisition) -> Recognised | None:
    """FLAIR by its inversion time; T1 by short echo and repetition times, or a short inversion time; T1 with contrast
    by the agent in the header, else by the description; a description alone where times are missing. None: none of
    them (T2, diffusion, angiography, derived maps), or nothing to go by."""
    echo, repetition, inversion = acquisition.echo_ms, acquisition.repetition_ms, acquisition.inversion_ms
    text = (acquisition.description or "").lower().replace("_", " ")
    if acquisition.no_plain_image:
        return None
    if _within(inversion, FLUID_NULLED) and (echo is None or echo >= FLAIR_ECHO):
        return Recognised("flair", "inversion_time", f"inversion time {inversion:g} ms nulls fluid")
    if inversion and echo is not None and echo <= T1_ECHO:
        if not _within(inversion, T1_INVERSION):
            return None
        return _t1("inversion_time", f"inversion time {inversion:g} ms, echo time {echo:g} ms", acquisition, text)
    if echo is not None and repetition is not None and not (echo >= FLAIR_ECHO and TEXT_FLAIR.search(text)):
        longest = T1_GRADIENT_ECHO if acquisition.gradient_echo else T1_ECHO
        if echo <= longest and repetition <= T1_REPETITION:
            return _t1("times", f"echo time {echo:g} ms, repetition time {repetition:g} ms", acquisition, text)
        # A 3D T1 whose header leaves the inversion time out has the repetition time of the whole shot.
        if not (echo <= longest and TEXT_T1.search(text)):
            return None
    if TEXT_T1.search(text) and not TEXT_OTHER.search(text):
        return _t1("description", "the description", acquisition, text)
    if TEXT_FLAIR.search(text):
        if echo is not None and echo < FLAIR_ECHO:
            return None
        return Recognised("flair", "description", "the description")
    return None
