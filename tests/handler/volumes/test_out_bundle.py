"""One zip: what is in it, and that it is the same each time."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import zipfile

import nibabel
import numpy as np
import pytest

from handler.errors import RequestError
from handler.volumes.out import bundle, nifti, seg
from handler.volumes.volume import Acquisition, NiftiSource, Volume
from tests.handler.volumes.series import classic, landmarks
from tests.handler.volumes.test_out_seg import ALGORITHM, SMALL

RESULT = b'{"verdict": "tumor_detected"}'


def made() -> bytes:
    return bundle.encode(classic(SMALL).volume, landmarks(SMALL), ALGORITHM, RESULT)


def test_of_a_dicom() -> None:
    with zipfile.ZipFile(io.BytesIO(made())) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["mask.nii.gz", "result.json", "seg.dcm", "sr-diameters.dcm", "sr-volume.dcm"]
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.read("result.json") == RESULT
        volume, mask = classic(SMALL).volume, landmarks(SMALL)
        assert archive.read("seg.dcm") == seg.encode(volume, mask, ALGORITHM), "the very object of application/dicom"
        assert archive.read("mask.nii.gz") == nifti.encode(volume, mask, ALGORITHM)


def test_of_a_nifti() -> None:
    header = nibabel.Nifti1Header()
    header.set_sform(SMALL.affine_ras, 1)
    volume = Volume(np.zeros(SMALL.shape, np.float32), SMALL, NiftiSource(header), Acquisition(), "nifti", "ab")
    with zipfile.ZipFile(io.BytesIO(bundle.encode(volume, landmarks(SMALL), ALGORITHM, RESULT))) as archive:
        assert archive.namelist() == ["mask.nii.gz", "result.json"]


def test_of_a_dicom_that_no_mask_can_refer_to() -> None:
    with pytest.raises(RequestError) as refused:
        bundle.encode(classic(SMALL, tags={"SOPInstanceUID": None}).volume, landmarks(SMALL), ALGORITHM, RESULT)
    assert refused.value.code == "not_acceptable"


@pytest.mark.slow
def test_the_same_bytes_in_every_process() -> None:
    code = "import hashlib, tests.handler.volumes.test_out_bundle as t;print(hashlib.sha256(t.made()).hexdigest())"
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert again.stdout.split()[-1] == hashlib.sha256(made()).hexdigest()
