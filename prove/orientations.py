"""Volumes in all 48 orientations, straight and tilted: each voxel of a mask comes back where it was, in millimetres, as
NIfTI and as SEG; and through a running server the two name the same voxels."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Mapping

import nibabel
import numpy as np
import pydicom
from numpy.typing import NDArray

from handler.volumes.out import nifti as nifti_out
from handler.volumes.out import seg
from handler.volumes.out.algorithm import Algorithm
from handler.volumes.study import read_study
from prove.asking import post
from prove.drawn.places import in_mm, placed
from prove.drawn.volumes import ORIENTATIONS, Phantom, dicom_enhanced, dicom_zip, nifti, phantom, rotation
from prove.proof import Claims, Ground
from prove.server import Server
from prove.stand import served

TURNS, ASKED = "turns", "asked"  # of the core; of a server
TILTS = (0.0, 17.0)  # degrees
STEP = 29  # from one orientation to the next; no divisor of 48
NEAR_MM = 0.01  # what decimal strings of 16 characters and single precision leave
ALGORITHM = Algorithm("1", (("threshold", "0.5"), ("min_lesion_pixels", "0")))
SENT: Mapping[str, Callable[[Phantom], bytes]] = {
    "NIfTI": nifti,
    "classic DICOM": dicom_zip,
    "Enhanced DICOM": dicom_enhanced,
}
Points = NDArray[np.float64]  # (n, 3): middles of voxels, mm, RAS


def wrong(found: Points, expected: Points) -> int:
    """How many voxels of either have none of the other within :data:`NEAR_MM`."""
    if not len(found) or not len(expected):
        return len(found) + len(expected)
    distances = np.linalg.norm(found[:, None] - expected[None], axis=2)
    return int((distances.min(axis=1) > NEAR_MM).sum() + (distances.min(axis=0) > NEAR_MM).sum())


def of_nifti(data: bytes) -> Points:
    """Of a mask as ``.nii`` or ``.nii.gz``, by nibabel."""
    plain = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    image: nibabel.Nifti1Image = nibabel.Nifti1Image.from_bytes(plain)
    return in_mm(np.asarray(image.dataobj).T > 0, np.asarray(image.affine, float))


def of_seg(data: bytes) -> Points:
    """Of a DICOM SEG, by pydicom and each frame's own geometry."""
    return placed(pydicom.dcmread(io.BytesIO(data)))


def written(scan: Phantom, kind: str) -> dict[str, Points]:
    """The landmarks of ``scan``, sent as ``kind``, read, marked and written: by what they are written as."""
    volume = read_study({"file": SENT[kind](scan)}).flair
    mask = volume.voxels >= 1000
    found = {"NIfTI": of_nifti(nifti_out.encode(volume, mask, ALGORITHM))}
    if kind != "NIfTI":
        found["SEG"] = of_seg(seg.encode(volume, mask, ALGORITHM))
    return found


def some(count: int) -> list[NDArray[np.float64]]:
    """``count`` of the orientations, far from each other; more begin with fewer."""
    return [ORIENTATIONS[number * STEP % len(ORIENTATIONS)] for number in range(min(count, len(ORIENTATIONS)))]


def core(ground: Ground, claims: Claims) -> None:
    """Reader and writers, with a mask that is known; not again where an earlier turn has done it."""
    done: dict[str, list[int]] = ground.kept.setdefault("core", {})
    for kind in SENT:
        if kind not in done:
            off, right, total = 0, 0, 0
            for turn in some(ground.effort[TURNS]):
                for tilt in TILTS:
                    scan = phantom((16, 13, 6), turn=rotation(tilt) @ turn, seed=ground.seed % 1000)
                    missed = sum(wrong(points, scan.landmarks_mm()) for points in written(scan, kind).values())
                    off, right, total = off + missed, right + (missed == 0), total + 1
            done[kind] = [off, right, total]
            ground.tell(f"{kind}: {right} of {total} orientations right")
        off, right, total = done[kind]
        into = "NIfTI" if kind == "NIfTI" else "NIfTI and SEG"
        claims.equal(f"{kind} in, {into} out: {right} of {total} right; voxels wrong", 0, off, "voxels")


def _ask(server: Server, scan: bytes, accept: str) -> bytes:
    """The mask. The gate would refuse what is drawn here; so low a threshold marks something in any scan."""
    headers = {"Content-Type": "application/octet-stream", "Accept": accept}
    url = f"{server.door}/api/v1/segment?gate=off&threshold=0.001&min_lesion_pixels=0"
    reply = post(url, data=scan, headers=headers, timeout=600)
    reply.raise_for_status()
    return reply.content


def through(server: Server, ground: Ground, claims: Claims) -> None:
    """A running server: whatever the network marks, both forms mark the same, on the grid of the scan. As far as this
    turn's time goes."""
    kept = ground.kept
    for name in ("done", "off", "marked"):
        kept.setdefault(name, 0)
    moved: list[str] = kept.setdefault("moved", [])
    for number, turn in enumerate(some(ground.effort[ASKED])):
        if number < kept["done"]:
            continue
        if ground.late:
            break
        scan = phantom((16, 13, 6), turn=rotation(TILTS[number % 2]) @ turn, seed=number)
        sent = dicom_zip(scan)
        as_nifti, as_seg = _ask(server, sent, "application/x-nifti"), _ask(server, sent, "application/dicom")
        points = of_nifti(as_nifti)
        kept["off"] += wrong(points, of_seg(as_seg))
        kept["marked"] += len(points)
        answer = gzip.decompress(_ask(server, nifti(scan), "application/x-nifti"))
        back: nibabel.Nifti1Image = nibabel.Nifti1Image.from_bytes(answer)
        same = back.shape == scan.voxels.shape[::-1] and np.allclose(back.affine, scan.affine, atol=1e-4)
        moved += [] if same else [f"orientation {number}"]
        kept["done"] = number + 1
    told = f"DICOM through the server in {kept['done']} orientations: {kept['marked']} voxels marked"
    claims.equal(f"{told}; NIfTI and SEG differ in", 0, kept["off"], "voxels")
    claims.none("NIfTI through the server: answers that are not on the grid that was sent", moved, "answers")
    ground.tell(told)


def run(ground: Ground, claims: Claims) -> None:
    """The core, then a server of its own."""
    core(ground, claims)
    with served(ground.store, ground.folder) as server:
        through(server, ground, claims)
