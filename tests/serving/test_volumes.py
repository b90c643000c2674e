"""Scans with geometry through the running server: the front door, TorchServe and the handler."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import nibabel
import numpy as np
import pydicom
import pytest
import requests
from pydicom.uid import CTImageStorage

from prove.drawn.volumes import SENTINEL, dicom_zip, nifti
from prove.server import Server
from tests.contract import check_answer
from tests.handler.volumes.test_way import head

pytestmark = pytest.mark.server


def segment(door: str, seconds: float = 600, **arguments: object) -> requests.Response:
    return requests.post(f"{door}/api/v1/segment", timeout=seconds, **arguments)  # type: ignore[arg-type]


def test_a_nifti_goes_in_and_its_mask_comes_out_on_its_grid(detector: Server) -> None:
    scan, lesion = head()
    reply = segment(detector.door, data=nifti(scan), headers={"Accept": "application/x-nifti"})
    assert reply.status_code == 200, reply.text
    mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(reply.content))
    assert np.allclose(mask.affine, scan.affine, atol=1e-4)
    found = np.asarray(mask.dataobj).transpose(2, 1, 0) > 0
    assert 2 * (found & lesion).sum() / (found.sum() + lesion.sum()) > 0.8


def test_sequences_as_parts_of_a_form_and_fields_beside_them(detector: Server) -> None:
    scan, _ = head()
    parts = {name: (f"{name}.nii", nifti(scan)) for name in ("flair", "t1", "t1c")}
    reply = segment(detector.door, files=parts, data={"threshold": "0.4"})
    assert reply.status_code == 200, reply.text
    answer = check_answer(reply.content)
    assert answer["threshold"] == 0.4
    assert [one["recognised"] for one in answer["sequences"]] == ["named"] * 3
    straight = requests.post(detector.url, files=parts, headers=detector.auth(), timeout=600)
    assert straight.json()["tumor_volume_ml"] > 0


def test_a_series_as_a_zip_gives_everything_in_a_zip(detector: Server) -> None:
    scan, _ = head()
    reply = segment(
        detector.door, data=dicom_zip(scan), headers={"Accept": "application/zip"}, params={"outputs": "scan"}
    )
    assert reply.status_code == 200, reply.text
    with zipfile.ZipFile(io.BytesIO(reply.content)) as packed:
        seg = pydicom.dcmread(io.BytesIO(packed.read("seg.dcm")))
        result = json.loads(packed.read("result.json"))
        assert {"mask.nii.gz", "scan.nii.gz"} <= set(packed.namelist())
    assert seg.Modality == "SEG"
    assert result["verdict"] == "tumor_detected"
    assert int(seg.pixel_array.sum()) == result["tumor_pixels"]


def test_a_broken_volume_is_refused_and_nobody_is_named(detector: Server) -> None:
    scan, _ = head()
    reply = segment(detector.door, data=nifti(scan, packed=True)[:-20])
    assert (reply.status_code, reply.json().get("code")) == (422, "corrupt_image"), reply.text
    ct = dicom_zip(scan, change=lambda k, dataset: dataset.update({"Modality": "CT", "SOPClassUID": CTImageStorage}))
    reply = segment(detector.door, data=ct)
    assert (reply.status_code, reply.json()["code"]) == (422, "not_mr")
    logs = [path.read_text(errors="replace") for path in detector.state.rglob("*.log")]
    assert logs
    assert not any(SENTINEL in log for log in logs)
