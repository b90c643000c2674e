"""Damages scans where their format has something to say: one module a format, :data:`MUTATORS` their registry."""

from __future__ import annotations

from prove.mutate.damage import Mutator
from prove.mutate.dicom import mutate_dicom
from prove.mutate.jpeg import mutate_jpeg
from prove.mutate.nifti import mutate_nifti
from prove.mutate.png import mutate_png
from prove.mutate.tiff import mutate_tiff
from prove.mutate.zips import mutate_zip

# By format: what each whole scan of :mod:`prove.drawn.whole` is, :func:`format_of` says.
MUTATORS: dict[str, Mutator] = {
    "png": mutate_png,
    "jpeg": mutate_jpeg,
    "tiff": mutate_tiff,
    "dicom": mutate_dicom,
    "nifti": mutate_nifti,
    "zip": mutate_zip,
}
_NAMED = {"slice": "dicom", "enhanced": "dicom", "nifti1": "nifti", "nifti2": "nifti"}


def format_of(name: str) -> str:
    """The key of :data:`MUTATORS` for the whole scan ``name``."""
    first = name.replace("-", " ").split()[0]
    return _NAMED.get(first, first)
