"""Which sequence is which: from times, an agent, and a description only where times are missing."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from handler.errors import RequestError
from handler.limits import Limits
from handler.volumes.sequences import recognise
from handler.volumes.study import Study, read_study
from handler.volumes.volume import Acquisition
from prove.drawn.volumes import ORIENTATIONS, SENTINEL, dicom_series, dicom_zip, nifti, phantom, zipped

SCAN = phantom()


@pytest.mark.parametrize(
    ("echo", "repetition", "inversion", "more", "expected"),
    [
        # 2D FLAIR at 1.5 and 3 T, 3D FLAIR (SPACE, CUBE, VISTA)
        (120, 9000, 2500, {}, ("flair", "inversion_time")),
        (81, 9000, 2500, {}, ("flair", "inversion_time")),
        (388, 5000, 1800, {}, ("flair", "inversion_time")),
        (140, 8002, 2000, {"contrast_agent": True}, ("flair", "inversion_time")),
        (120, 11000, 2800, {"description": "ax t2 dark-fluid"}, ("flair", "inversion_time")),
        # T1: spin echo, gradient echo, MPRAGE, T1 FLAIR
        (9, 550, None, {}, ("t1", "times")),
        (14, 600, None, {}, ("t1", "times")),
        (3, 8, None, {"gradient_echo": True}, ("t1", "times")),
        (2.3, 1900, 900, {"gradient_echo": True}, ("t1", "inversion_time")),
        (3.2, 2217, 1000, {"description": "MP-RAGE"}, ("t1", "inversion_time")),
        (2.9, 2300, None, {"gradient_echo": True, "description": "MPRAGE sag"}, ("t1", "description")),
        (9, 2000, 780, {"description": "T1 FLAIR"}, ("t1", "inversion_time")),
        # with contrast
        (9, 550, None, {"contrast_agent": True}, ("t1c", "contrast")),
        (9, 550, None, {"contrast_agent": False}, ("t1", "times")),
        (9, 550, None, {"description": "AX T1 POST GD"}, ("t1c", "description")),
        (9, 550, None, {"description": "t1_se_tra+C"}, ("t1c", "description")),
        (9, 550, None, {"description": "T1 pre contrast"}, ("t1", "times")),
        # others
        (95, 4000, None, {}, None),
        (95, 4000, None, {"description": "T2 TSE"}, None),
        (20, 3000, None, {"description": "PD"}, None),
        (20, 600, None, {"gradient_echo": True, "description": "T2*"}, None),
        (60, 4000, 150, {"description": "STIR"}, None),
        (9, 550, None, {"no_plain_image": True}, None),
        # a FLAIR whose header leaves the inversion time out (Philips)
        (125, 11000, None, {"description": "FLAIR longTR"}, ("flair", "description")),
        (125, 11000, None, {"description": "T2W_FLAIR"}, ("flair", "description")),
        # no times: texts
        (None, None, None, {"description": "flair.nii.gz"}, ("flair", "description")),
        (None, None, None, {"description": "sub-01_T1w.nii.gz"}, ("t1", "description")),
        (None, None, None, {"description": "t1.nii.gz"}, ("t1", "description")),
        (None, None, None, {"description": "t1c.nii.gz"}, ("t1c", "description")),
        (None, None, None, {"description": "BraTS_t1ce.nii.gz"}, ("t1c", "description")),
        (None, None, None, {"description": "pat_t1gd.nii"}, ("t1c", "description")),
        (None, None, None, {"description": "T1 post"}, ("t1c", "description")),
        (None, None, None, {"description": "t2.nii.gz"}, None),
        (None, None, None, {"description": "localizer"}, None),
        (None, None, None, {"description": "t10.nii"}, None),
        (None, None, None, {}, None),
    ],
)
def test_recognised(
    echo: float | None,
    repetition: float | None,
    inversion: float | None,
    more: dict[str, object],
    expected: tuple[str, str] | None,
) -> None:
    found = recognise(Acquisition(echo_ms=echo, repetition_ms=repetition, inversion_ms=inversion, **more))  # type: ignore[arg-type]
    assert (found and (found.channel, found.how)) == expected
    if found and "description" in more:
        assert str(more["description"]) not in found.reason


def warned(study: Study) -> set[str]:
    return {warning.code for warning in study.warnings}


def test_a_whole_study_in_one_zip() -> None:
    files = []
    for number, sequence in enumerate(("t2", "t1c", "flair", "t1"), 1):
        files += dicom_series(phantom(seed=number), sequence, number=number)
    study = read_study({"file": zipped(files)})
    assert study.t1 is not None
    assert study.t1c is not None
    sums = [volume.voxels.sum(dtype=float) for volume in (study.flair, study.t1, study.t1c)]
    assert sums == [phantom(seed=seed).voxels.sum() for seed in (3, 4, 2)]
    assert {channel: found.how for channel, found in study.found.items()} == {
        "flair": "inversion_time",
        "t1": "times",
        "t1c": "contrast",
    }
    assert study.warnings == ()


def test_a_broken_flair_is_not_replaced_by_another_series() -> None:
    flair = [file for file in dicom_series(SCAN, "flair") if not file[0].endswith("-3.dcm")]
    with pytest.raises(RequestError) as refusal:
        read_study({"file": zipped([*flair, *dicom_series(SCAN, "t1", number=2)])})
    assert refusal.value.code == "inconsistent_series"


def test_a_refusal_says_of_which_sequence() -> None:
    t1 = [file for file in dicom_series(SCAN, "t1", number=2) if not file[0].endswith("-3.dcm")]
    with pytest.raises(RequestError, match="T1: Between files") as refusal:
        read_study({"file": zipped([*dicom_series(SCAN, "flair"), *t1])})
    assert refusal.value.code == "inconsistent_series"


@pytest.mark.parametrize("t1", [nifti(SCAN), dicom_zip(SCAN, "t1")])
def test_voxels_of_all_sequences_count_together(t1: bytes) -> None:
    limits = Limits(voxels=2 * SCAN.voxels.size - 1)
    assert read_study({"file": dicom_zip(SCAN)}, limits=limits).t1 is None
    with pytest.raises(RequestError) as refusal:
        read_study({"flair": dicom_zip(SCAN), "t1": t1}, limits=limits)
    assert refusal.value.code == "too_large"


def test_a_localizer_disturbs_nobody() -> None:
    def three_planes(k: int, dataset: Dataset) -> None:
        dataset.ImageOrientationPatient = ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])[k % 3]
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]

    files = dicom_series(SCAN, "flair") + dicom_series(SCAN, "t2", series="scout", change=three_planes)
    assert read_study({"file": zipped(files)}).flair.grid.size == (20, 24, 8)


def test_two_flairs_are_asked_about_and_can_be_chosen() -> None:
    coronal = phantom(turn=ORIENTATIONS[8])
    data = zipped(dicom_series(SCAN, series="1") + dicom_series(coronal, series="2", number=2))
    with pytest.raises(RequestError) as refusal:
        read_study({"file": data})
    assert refusal.value.code == "several_series"
    assert "1: axial, 20 x 24, 8 slices, FLAIR; 2: " in refusal.value.detail
    assert SENTINEL not in refusal.value.detail
    study = read_study({"file": data}, series=2)
    assert study.flair.voxels.sum(dtype=float) == coronal.voxels.sum()
    assert study.found["flair"].how == "named"
    with pytest.raises(RequestError, match="holds 2 series"):
        read_study({"file": data}, series=3)


def test_of_two_t1_the_one_in_the_flairs_plane_is_taken_and_told() -> None:
    files = dicom_series(phantom(turn=ORIENTATIONS[8]), "t1", series="a", number=1)
    files += dicom_series(phantom(seed=5), "t1", series="b", number=2) + dicom_series(SCAN, "flair", number=3)
    study = read_study({"file": zipped(files)})
    assert study.t1 is not None
    assert study.t1.voxels.sum(dtype=float) == phantom(seed=5).voxels.sum()
    assert "several_candidates" in warned(study)


def test_parts_are_what_the_client_says() -> None:
    study = read_study({"flair": dicom_zip(SCAN, "t2"), "t1": nifti(SCAN), "t1c": nifti(SCAN, packed=True)})
    assert study.found["flair"].how == study.found["t1"].how == study.found["t1c"].how == "named"
    assert study.warnings == ()
    assert study.flair.acquisition.name == "flair"
    swapped = read_study({"flair": dicom_zip(SCAN, "t1")})
    assert {"looks_otherwise", "missing_sequence"} <= warned(swapped)


def test_a_nifti_alone_is_taken_for_flair() -> None:
    study = read_study({"file": nifti(SCAN)})
    assert study.found["flair"].how == "only_one"
    assert {"taken_for_flair", "missing_sequence"} == warned(study)


def test_a_zip_of_niftis_goes_by_their_names() -> None:
    files = [
        (f"{SENTINEL}/{name}.nii.gz", nifti(phantom(seed=n), packed=True))
        for n, name in enumerate(("t1c", "t1", "flair"))
    ]
    study = read_study({"file": zipped(files)})
    assert study.flair.voxels.sum(dtype=float) == phantom(seed=2).voxels.sum()
    assert {found.how for found in study.found.values()} == {"description"}
    assert len(study.found) == 3


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({}, "no_image"),
        ({"t1": b"x"}, "no_image"),
        ({"flair": b""}, "no_image"),
        ({"file": b"x", "flair": b"x"}, "invalid_parameter"),
        ({"flair": b"x", "dwi": b"x"}, "invalid_parameter"),
        ({"flair": b"x"}, "unsupported_format"),
    ],
)
def test_parts_that_make_no_study(parts: dict[str, bytes], code: str) -> None:
    with pytest.raises(RequestError) as refusal:
        read_study(parts)
    assert refusal.value.code == code
