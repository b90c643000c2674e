"""Frames -> one regular volume, in order along the normal, or the reason why they are none. Positions are believed;
SpacingBetweenSlices, SliceThickness, instance numbers and file names are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.scan import Warn
from handler.volumes.dicom.frames import Frame
from handler.volumes.grid import TO_LPS, Grid

RELATIVE = 0.01  # of a step: what highdicom allows too
ROUNDED_MM = 0.01  # positions are written with a few decimals
SQUARE = 1e-3  # cosines of axes
SPACINGS_MM = (0.01, 100.0)
FURTHEST_MM = 1e5


def _named(*frames: Frame) -> str:
    """Frames by their places: never by a name."""
    if all(frame.of == 1 for frame in frames):
        files = [str(frame.file) for frame in frames]
        return f"file {files[0]}" if len(files) == 1 else f"files {' and '.join(files)} (counted in the upload's order)"
    return " and ".join(f"frame {frame.frame} of file {frame.file}" for frame in frames)


def _refused(what: str, todo: str = "Export the series again, whole and by itself.") -> RequestError:
    return RequestError("inconsistent_series", f"{what}. {todo}")


def _first_other(values: Sequence[object]) -> int | None:
    return next((n for n, found in enumerate(values) if found != values[0]), None)


def _check_told(frames: Sequence[Frame]) -> None:
    """That every frame says where it lies."""
    for frame in frames:
        if frame.spacing is None:
            why = "only ImagerPixelSpacing (at the detector)" if frame.detector_spacing else "no PixelSpacing"
            raise _refused(
                f"{_named(frame).capitalize()} has {why}: nobody knows how large its pixels are in the patient"
            )
        if frame.position is None or frame.orientation is None:
            raise _refused(
                f"{_named(frame).capitalize()} does not say where it lies (ImagePositionPatient and "
                "ImageOrientationPatient)",
                "Send the original series.",
            )


def _check_alike(frames: Sequence[Frame]) -> None:
    """Size, spacing, orientation, frame of reference."""
    other = _first_other([(frame.columns, frame.rows) for frame in frames])
    if other is not None:
        raise _refused(f"{_named(frames[0], frames[other]).capitalize()} differ in size")
    for name, what, tolerance in (("spacing", "pixel spacing", 1e-3), ("orientation", "orientation", SQUARE)):
        values = np.array([getattr(frame, name) for frame in frames])
        off = np.abs(values - values[0]).max(axis=1) > tolerance * (1 if name == "orientation" else values[0].max())
        if off.any():
            raise _refused(f"{_named(frames[0], frames[int(off.argmax())]).capitalize()} differ in {what}")
    other = _first_other([frame.acquisition.frame_of_reference for frame in frames])
    if other is not None:
        raise _refused(f"{_named(frames[0], frames[other]).capitalize()} differ in their frame of reference")


def _axes(frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Unit vectors along a row, down a column, and their normal."""
    along, down = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])  # type: ignore[index]
    lengths = np.linalg.norm(along), np.linalg.norm(down)
    if max(abs(length - 1) for length in lengths) > 10 * SQUARE or abs(float(along @ down)) > SQUARE:
        raise _refused(f"The orientation of {_named(frame)} is not that of a rectangle", "Send the original series.")
    normal = np.cross(along, down)
    return along / lengths[0], down / lengths[1], normal / np.linalg.norm(normal)


def _check_steps(frames: Sequence[Frame], heights: NDArray[np.float64]) -> None:
    """``heights``: along the normal, ascending."""
    steps = np.diff(heights)
    usual = float(np.median(steps))
    doubled = steps <= max(ROUNDED_MM, 0.05 * usual)
    if doubled.any():
        n = int(doubled.argmax())
        raise _refused(
            f"{_named(frames[n], frames[n + 1]).capitalize()} lie at the same place, and no tag tells them apart",
            "Send one volume: one echo, one point in time, magnitude only.",
        )
    off = np.abs(steps - usual) > RELATIVE * usual + ROUNDED_MM
    if off.any():
        n = int(np.abs(steps - usual).argmax())
        times = steps[n] / usual
        gap = times > 1.5 and abs(times - round(times)) < 0.1
        what = f"{round(times) - 1} missing" if gap else "uneven steps"
        raise _refused(
            f"Between {_named(frames[n], frames[n + 1])} lie {steps[n]:.2f} mm, elsewhere {usual:.2f} mm: {what}"
        )
    even = heights[0] + np.arange(len(heights)) * (heights[-1] - heights[0]) / (len(heights) - 1)
    drift = np.abs(heights - even)
    if drift.max() > 0.1 * usual + ROUNDED_MM:
        raise _refused(f"{_named(frames[int(drift.argmax())]).capitalize()} lies {drift.max():.2f} mm off an even grid")


def _check_upright(
    frames: Sequence[Frame], places: NDArray[np.float64], heights: NDArray[np.float64], normal: NDArray[np.float64]
) -> None:
    """That slices lie over each other: a stack that leans (a tilted gantry, a moved patient) is no rectangular grid."""
    shift = places - places[0] - np.outer(heights - heights[0], normal)
    aside = np.linalg.norm(shift, axis=1)
    if aside.max() > 0.1 * min(frames[0].spacing or (1.0,)) + ROUNDED_MM:
        raise _refused(
            f"The stack leans: {_named(frames[int(aside.argmax())])} lies {aside.max():.2f} mm aside of the first",
            "Resample it to a rectangular grid.",
        )


def _thickness(frame: Frame) -> tuple[float, Warn]:
    """For a single slice, which has no step: the one place where the tag is used."""
    known = frame.thickness is not None and SPACINGS_MM[0] <= frame.thickness <= SPACINGS_MM[1]
    step = frame.thickness if known and frame.thickness else 1.0
    said = f"its SliceThickness of {step:g} mm" if known else "1 mm, since it does not say"
    return step, Warn("single_slice", f"one slice has no step to the next: volumes are counted with {said}")


def stack(frames: Sequence[Frame]) -> tuple[list[Frame], Grid, tuple[Warn, ...]]:
    """The frames in ascending order along the normal (row direction x column direction), and their grid.

    Raises ``inconsistent_series`` with the reason: no PixelSpacing, no position, unequal size, spacing, orientation or
    frame of reference, a position twice, a gap, uneven steps, a stack that leans."""
    _check_told(frames)
    _check_alike(frames)
    along, down, normal = _axes(frames[0])
    places = np.array([frame.position for frame in frames], np.float64)
    spacing = frames[0].spacing or (0.0, 0.0)
    if np.abs(places).max() > FURTHEST_MM or not all(SPACINGS_MM[0] <= s <= SPACINGS_MM[1] for s in spacing):
        raise _refused(
            f"The pixels of {_named(frames[0])} are not of a patient's size, or lie beyond {FURTHEST_MM:g} mm"
        )
    order = np.argsort(places @ normal, kind="stable")
    frames, places = [frames[n] for n in order], places[order]
    heights = places @ normal
    warnings: tuple[Warn, ...] = ()
    if len(frames) == 1:
        step, warned = _thickness(frames[0])
        through, warnings = normal * step, (warned,)
    else:
        _check_steps(frames, heights)
        _check_upright(frames, places, heights, normal)
        through = normal * (heights[-1] - heights[0]) / (len(frames) - 1)
        if np.linalg.norm(through) > SPACINGS_MM[1]:
            raise _refused(f"Slices lie {np.linalg.norm(through):.0f} mm apart; at most {SPACINGS_MM[1]:g} are taken")
    if frames[0].acquisition.frame_of_reference is None:
        detail = "the files name no frame of reference: whether other sequences lie over this one is not known"
        warnings = (*warnings, Warn("no_frame_of_reference", detail))
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1], lps[:3, 2], lps[:3, 3] = along * spacing[1], down * spacing[0], through, places[0]
    return frames, Grid((frames[0].columns, frames[0].rows, len(frames)), TO_LPS @ lps, "dicom"), warnings
