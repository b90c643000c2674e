"""The same files to other programs: voxels lie where nibabel, SimpleITK and dcm2niix put them, in millimetres."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import dcm2niix
import nibabel
import numpy as np
import pytest

from handler.volumes.nifti import read_nifti
from handler.volumes.study import read_study
from handler.volumes.volume import Volume
from prove.drawn.volumes import ORIENTATIONS, brightest, dicom_enhanced, dicom_series, nifti, phantom, rotation, zipped

pytestmark = pytest.mark.slow  # other programs read whole series
SCANS = Path(__file__).parents[3] / ".." / "shared" / "scans"
TURNS = [(0.0, turn) for turn in ORIENTATIONS] + [(17.0, turn) for turn in ORIENTATIONS]


def converted(folder: Path) -> list[nibabel.Nifti1Image]:
    """What dcm2niix makes of the files in ``folder`` (``-p n``: scaled as DICOM says, not by Philips' private tags)."""
    out = folder / "out"
    out.mkdir()
    command = [dcm2niix.bin, "-z", "n", "-b", "n", "-p", "n", "-o", str(out), "-f", "%s_%t_%d", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return [nibabel.load(path) for path in sorted(out.glob("*.nii"))]


def landmarks_mm(volume: Volume) -> np.ndarray:
    return volume.grid.to_mm(np.array(brightest(volume.voxels), float))


def theirs_mm(image: nibabel.Nifti1Image) -> np.ndarray:
    data = np.asarray(image.dataobj)
    found = np.array(brightest(data.T.astype(np.float32)), float)
    return found @ image.affine[:3, :3].T + image.affine[:3, 3]


@pytest.mark.parametrize("degrees", [0.0, 17.0])
def test_nifti_in_every_orientation_against_simpleitk(degrees: float, tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    for n, turn in enumerate(ORIENTATIONS):
        scan = phantom((10, 13, 5), turn=rotation(degrees) @ turn)
        path = tmp_path / f"{n}.nii"
        path.write_bytes(nifti(scan))
        image = itk.ReadImage(str(path))
        voxels = itk.GetArrayFromImage(image)
        places = [image.TransformIndexToPhysicalPoint(index) for index in brightest(voxels)]
        volume = read_nifti(path.read_bytes())
        assert np.abs(landmarks_mm(volume) - np.array(places) * (-1, -1, 1)).max() < 0.01


@pytest.mark.parametrize("part", range(4))
def test_dicom_in_every_orientation_against_dcm2niix(part: int, tmp_path: Path) -> None:
    for n, (degrees, turn) in enumerate(TURNS[part::4]):
        scan = phantom((10, 13, 5), turn=rotation(degrees) @ turn)
        folder = tmp_path / str(n)
        folder.mkdir()
        files = dicom_series(scan)
        for m, (_, data) in enumerate(files):
            (folder / f"{m}.dcm").write_bytes(data)
        (image,) = converted(folder)
        assert np.abs(landmarks_mm(read_study({"file": zipped(files)}).flair) - theirs_mm(image)).max() < 0.01


def test_enhanced_against_dcm2niix(tmp_path: Path) -> None:
    for n, turn in enumerate(ORIENTATIONS[::6]):
        scan = phantom((10, 13, 5), turn=rotation(17) @ turn)
        folder = tmp_path / str(n)
        folder.mkdir()
        data = dicom_enhanced(scan)
        (folder / "1.dcm").write_bytes(data)
        (image,) = converted(folder)
        assert np.abs(landmarks_mm(read_study({"file": data}).flair) - theirs_mm(image)).max() < 0.01


# --- real series -----------------------------------------------------------------------------------------------------


def real(name: str) -> bytes:
    path = SCANS / f"{name}.zip"
    if not path.exists():
        pytest.skip("../shared/scans is not here: real series are no part of the repository")
    return path.read_bytes()


def unpacked(name: str, folder: Path) -> Path:
    real(name)
    with zipfile.ZipFile(SCANS / f"{name}.zip") as archive:
        archive.extractall(folder)
    return folder


def compare(volume: Volume, image: nibabel.Nifti1Image) -> None:
    """All voxels of ours at their places in theirs."""
    theirs = np.asarray(image.dataobj, dtype=np.float32)
    columns, rows, slices = volume.grid.size
    corners = np.array([[i, j, k] for i in (0, columns - 1) for j in (0, rows - 1) for k in (0, slices - 1)], float)
    inverse = np.linalg.inv(image.affine)
    at = volume.grid.to_mm(corners) @ inverse[:3, :3].T + inverse[:3, 3]
    assert np.abs((at - np.rint(at)) @ image.affine[:3, :3].T).max() < 0.05
    axes = np.linalg.inv(image.affine)[:3, :3] @ volume.grid.affine_ras[:3, :3]
    order = [int(np.abs(axes[:, n]).argmax()) for n in range(3)]
    turned = theirs.transpose(order)
    for n in range(3):
        if axes[order[n], n] < 0:
            turned = np.flip(turned, n)
    assert np.abs(volume.voxels - turned.T).max() <= 1e-4 * np.abs(theirs).max()


@pytest.mark.parametrize("name", ["ge-axial-t1", "philips-sagittal-t1"])
def test_a_real_series_lies_where_dcm2niix_puts_it(name: str, tmp_path: Path) -> None:
    volume = read_study({"file": real(name)}).flair
    (image,) = converted(unpacked(name, tmp_path))
    compare(volume, image)


def test_four_real_points_in_time_are_four_volumes(tmp_path: Path) -> None:
    data = real("siemens-xa10-enhanced")
    with pytest.raises(Exception, match="holds 4 series"):
        read_study({"file": data})
    images = converted(unpacked("siemens-xa10-enhanced", tmp_path))
    theirs = (
        [image.slicer[..., n] for image in images for n in range(image.shape[3])] if images[0].ndim == 4 else images
    )
    assert len(theirs) == 4
    for number in range(1, 5):
        volume = read_study({"file": data}, number).flair
        same = [image for image in theirs if np.isclose(volume.voxels.sum(), np.asarray(image.dataobj).sum())]
        assert len(same) == 1
        compare(volume, same[0])


def test_real_magnitude_and_phase_are_two_volumes() -> None:
    data = real("philips-enhanced-fieldmap")
    with pytest.raises(Exception, match="holds 2 series"):
        read_study({"file": data})
    magnitude, phase = (read_study({"file": data}, number).flair for number in (1, 2))
    assert magnitude.grid.same_as(phase.grid)
    assert magnitude.voxels.min() >= 0 > phase.voxels.min()


def test_the_native_patient_is_what_nibabel_reads() -> None:
    folder = SCANS.parent / "native"
    if not folder.exists():
        pytest.skip("../shared/native is not here: patient data is no part of the repository")
    study = read_study({name: (folder / f"{name}.nii.gz").read_bytes() for name in ("flair", "t1", "t1c")})
    for name, volume in (("flair", study.flair), ("t1", study.t1), ("t1c", study.t1c)):
        image = nibabel.load(folder / f"{name}.nii.gz")
        assert volume is not None
        assert np.allclose(volume.grid.affine_ras, image.affine)
        assert np.array_equal(volume.voxels, np.asarray(image.dataobj).T)
        assert study.found[name].how == "named"
    assert not study.flair.grid.same_as(study.t1.grid if study.t1 else study.flair.grid)
