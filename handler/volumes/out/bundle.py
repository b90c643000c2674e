"""Everything about a scan in one zip."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from handler.volumes import lesions
from handler.volumes.out import nifti, seg, sr
from handler.volumes.out.algorithm import Algorithm
from handler.volumes.volume import DicomSource, Volume
from handler.wanted import ask

MASK, SEG, RESULT, SCAN = "mask.nii.gz", "seg.dcm", "result.json", "scan.nii.gz"


def encode(
    volume: Volume,
    mask: NDArray[np.bool_] | NDArray[np.uint8],
    algorithm: Algorithm,
    result: bytes,
    kind: str | None = None,
    with_scan: bool = False,
) -> bytes:
    """``mask``: bool, or uint8 with the numbers of the algorithm's segments, (slices, rows, columns) on the volume's
    grid; ``result``: the JSON of the answer; ``kind``: of the
    SEG, as :func:`handler.volumes.out.seg.encode` has it; ``with_scan``: the scan as NIfTI too.

    The mask as NIfTI and the JSON; for a DICOM source the SEG and the structured reports beside them. Equal arguments
    give equal bytes. Raises ``not_acceptable`` as :func:`~handler.volumes.out.frames.frames_of` does: a zip without the
    SEG that was asked for would be found out too late.
    """
    files = {MASK: nifti.encode(volume, mask, algorithm), RESULT: result}
    if isinstance(volume.source, DicomSource):
        ask()
        files[SEG] = seg.encode(volume, mask, algorithm, kind)
        ask()
        sizes = [np.count_nonzero(mask == segment.number) * volume.grid.voxel_ml for segment in algorithm.segments]
        files |= sr.encode(volume, lesions.measure(mask != 0, volume.grid), sizes, files[SEG], algorithm)
    if with_scan:
        files[SCAN] = nifti.encode_scan(volume, algorithm)
    return zipped(files)


def zipped(files: Mapping[str, bytes]) -> bytes:
    """By name, without a date, as if made on Unix: the same bytes for the same files."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # of 1980-01-01, the first that a zip can state
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".gz") else zipfile.ZIP_DEFLATED
            packed.writestr(entry, files[name])
    return archive.getvalue()
