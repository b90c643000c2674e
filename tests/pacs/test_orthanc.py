"""A real archive: a study in by C-STORE from Orthanc, SEG and reports back, and the same by DICOMweb."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
import requests

from brainseg_client.command import main
from prove.drawn.volumes import dicom_series
from prove.server import Server
from tests.handler.volumes.test_way import head
from tests.pacs.orthanc import Orthanc, running
from tests.pacs.test_node import Program
from tests.waiting import until

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    with running(tmp_path / "orthanc") as place:
        yield place


@dataclass
class Door:
    """What :class:`Program` wants to know of the front door."""

    url: str


def expected(detector: Server, files: list[tuple[str, bytes]]) -> tuple[bytes, np.ndarray]:
    """The SEG that the front door gives for the same study, and its mask in the order of the file."""
    from brainseg_client.volumes import unpacked, zipped

    reply = requests.post(
        f"{detector.door}/api/v1/segment",
        data=zipped([data for _, data in files]),
        headers={"Accept": "application/zip"},
        timeout=600,
    )
    assert reply.status_code == 200, reply.text
    results = unpacked(reply.content)
    mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(results["mask.nii.gz"]))
    return results["seg.dcm"], np.asarray(mask.dataobj).transpose(2, 1, 0)


def test_a_study_goes_to_the_node_and_comes_back_segmented(detector: Server, orthanc: Orthanc, tmp_path: Path) -> None:
    scan, _ = head(size=(48, 48, 12))
    files = dicom_series(scan)
    wanted, mask = expected(detector, files)
    orthanc.upload([data for _, data in files])
    program = Program(tmp_path / "spool", Door(detector.door), orthanc, caller="ORTHANC")  # type: ignore[arg-type]
    program.start()
    try:
        node = ["BRAINSEG", "127.0.0.1", program.port]
        requests.put(f"{orthanc.url}/modalities/node", json=node, timeout=60).raise_for_status()
        requests.post(f"{orthanc.url}/modalities/node/echo", json={}, timeout=120).raise_for_status()
        (study,) = orthanc.get("/studies").json()
        requests.post(f"{orthanc.url}/modalities/node/store", data=study, timeout=300).raise_for_status()
        until(lambda: ": sent" in program.printed, "the study was segmented and sent back")
    finally:
        program.stop()
    (stored,) = orthanc.of_modality("SEG")
    read = pydicom.dcmread(io.BytesIO(stored))
    assert read.StudyInstanceUID == pydicom.dcmread(io.BytesIO(files[0][1])).StudyInstanceUID
    assert np.array_equal(read.pixel_array, pydicom.dcmread(io.BytesIO(wanted)).pixel_array)
    by_highdicom = highdicom.seg.Segmentation.from_dataset(read).get_volume(combine_segments=True)
    assert int(by_highdicom.array.sum()) == int(mask.sum()) > 0
    assert len(orthanc.of_modality("SR")) >= 2
    dump = tmp_path / "seg.dcm"
    dump.write_bytes(stored)
    if shutil.which("dcmdump"):
        assert subprocess.run(["dcmdump", "-q", str(dump)], capture_output=True, check=False).returncode == 0


def test_a_study_out_of_the_archive_and_its_results_back_by_dicomweb(
    detector: Server, orthanc: Orthanc, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan, _ = head(size=(48, 48, 12))
    files = dicom_series(scan)
    wanted, _ = expected(detector, files)
    orthanc.upload([data for _, data in files])
    uid = str(pydicom.dcmread(io.BytesIO(files[0][1])).StudyInstanceUID)
    command = ["segment", "--dicomweb", f"{orthanc.url}/dicom-web", "--study", uid, "--url", detector.door]
    assert main([*command, "--out", str(tmp_path / "out"), "--store"]) == 0
    printed = capsys.readouterr()
    assert "tumor_detected" in printed.out
    assert "Research use only" in printed.out
    assert (tmp_path / "out" / "seg.dcm").read_bytes() == wanted
    (stored,) = orthanc.of_modality("SEG")
    assert np.array_equal(
        pydicom.dcmread(io.BytesIO(stored)).pixel_array, pydicom.dcmread(io.BytesIO(wanted)).pixel_array
    )
    assert main([*command[:4], "1.2.3.4", *command[5:], "--out", str(tmp_path / "other")]) == 3
    assert "no such study" in capsys.readouterr().err
