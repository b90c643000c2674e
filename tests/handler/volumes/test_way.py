"""A patient's scan in, the same patient's mask out: the whole way, around a network whose answer is known."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
from numpy.typing import NDArray

from handler.limits import Limits
from handler.outcome import Outcome
from handler.pipeline import Model, answer
from handler.volumes.infer import MOST_SLICES
from prove.drawn.pictures import png, ramp
from prove.drawn.volumes import ORIENTATIONS, SENTINEL, Phantom, dicom_zip, nifti, phantom, rotation
from tests.contract import check_answer, check_problem
from tests.handler.models import FLAIR_RULE, forbidden, model

FORM = {"content-type": "multipart/form-data"}
HEAD, LESION = 300, 1000


def head(
    size: tuple[int, int, int] = (40, 44, 12),
    spacing: tuple[float, float, float] = (3.0, 3.2, 5.0),
    turn: NDArray[np.float64] | None = None,
) -> tuple[Phantom, NDArray[np.bool_]]:
    """A round head with a lesion off its middle on every axis, as a phantom and as a mask (slices, rows, columns)."""
    scan = phantom(size, spacing, turn)
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in size[::-1]], indexing="ij")
    voxels = np.where(i**2 + j**2 + k**2 < 0.9, HEAD, 0)
    lesion = (np.abs(i - 0.35) < 0.22) & (np.abs(j + 0.2) < 0.24) & (np.abs(k - 0.25) < 0.32)
    voxels[lesion] = LESION
    return dataclasses.replace(scan, voxels=voxels.astype(np.int16)), lesion


def ask(model: Model, parts: Mapping[str, bytes] | bytes, **headers: str) -> Outcome:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if isinstance(parts, bytes):
        return answer(model, {"body": bytearray(parts)}, sent)
    return answer(model, {name: bytearray(data) for name, data in parts.items()}, {**FORM, **sent})


def told(model: Model, parts: Mapping[str, bytes] | bytes, **headers: str) -> dict[str, Any]:
    reply = ask(model, parts, **headers).answer
    assert reply.status == 200, reply.body
    assert SENTINEL.encode() not in reply.body
    return check_answer(reply.body)


def refused(model: Model, parts: Mapping[str, bytes] | bytes, code: str, **headers: str) -> str:
    reply = ask(model, parts, **headers).answer
    return check_problem(reply.status, reply.content_type, reply.body, code)["detail"]


def codes(reply: Mapping[str, Any]) -> set[str]:
    return {warning["code"] for warning in reply["warnings"]}


def mask_of(model: Model, parts: Mapping[str, bytes] | bytes) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(slices, rows, columns) and the affine, as nibabel reads the answer."""
    reply = ask(model, parts, Accept="application/x-nifti").answer
    assert (reply.status, reply.content_type) == (200, "application/x-nifti")
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(reply.body))
    return np.asarray(image.dataobj).transpose(2, 1, 0) > 0, image.affine


@pytest.fixture(scope="module")
def finder() -> Model:
    """Marks what is bright in FLAIR."""
    return model(FLAIR_RULE, min_lesion_pixels=0)


class TestRightVoxel:
    @pytest.mark.parametrize("oblique", [0, 17])
    @pytest.mark.parametrize("which", range(48))
    def test_all_orientations(self, finder: Model, which: int, oblique: int) -> None:
        thin = 2.8  # so that sagittal and coronal files are reformatted
        scan, lesion = head((40, 44, 30), (3.0, 3.2, thin), rotation(oblique) @ ORIENTATIONS[which])
        reply = told(finder, nifti(scan))
        (found,) = reply["lesions"]
        where = np.argwhere(lesion)[:, ::-1].mean(0)
        apart = np.linalg.norm(np.array(found["centroid_mm"]) - (scan.affine @ (*where, 1.0))[:3])
        assert apart <= thin / 2
        assert reply["tumor_volume_ml"] == pytest.approx(lesion.sum() * 3.0 * 3.2 * thin / 1000, rel=0.25)
        assert codes(reply) == {"taken_for_flair", "missing_sequence"}

    @pytest.mark.parametrize("which", range(0, 48, 5))
    def test_dicom(self, finder: Model, which: int) -> None:
        scan, lesion = head(spacing=(3.0, 3.2, 2.9), turn=rotation(11) @ ORIENTATIONS[which])
        reply = told(finder, dicom_zip(scan))
        (found,) = reply["lesions"]
        where = np.argwhere(lesion)[:, ::-1].mean(0)
        assert np.linalg.norm(np.array(found["centroid_mm"]) - (scan.affine @ (*where, 1.0))[:3]) <= 1.45
        assert reply["input"]["geometry"]["source"] == "dicom"

    def test_the_mask_is_on_the_very_grid_that_came(self, finder: Model) -> None:
        scan, lesion = head(turn=rotation(9) @ ORIENTATIONS[7])
        mask, affine = mask_of(finder, nifti(scan, packed=True))
        assert mask.shape == scan.voxels.shape
        assert np.allclose(affine, scan.affine, atol=1e-4)
        assert 2 * (mask & lesion).sum() / (mask.sum() + lesion.sum()) > 0.85

    @pytest.mark.parametrize("which", range(0, 48, 3))
    def test_small_lesions_are_those_of_what_the_network_saw(self, which: int) -> None:
        """A rod from foot to head is small on axial slices and large on the others; a plate the other way round."""
        thin = (2.8, 2.8, 2.8)
        strict = model(FLAIR_RULE, min_lesion_pixels=20)
        upright, lesion = head((40, 44, 30), thin)
        plate, rod = np.zeros_like(lesion), np.zeros_like(lesion)
        plate[8, 15:25, 8:20], rod[8:24, 33:36, 18:21] = True, True
        drawn = np.where(plate | rod, LESION, np.where(lesion, HEAD, upright.voxels)).astype(np.int16)
        image = nibabel.Nifti1Image(drawn.transpose(2, 1, 0), upright.affine)
        turn = np.eye(4)
        turn[:3, :3] = ORIENTATIONS[which]
        stored = image.as_reoriented(nibabel.io_orientation(turn))
        scan = dataclasses.replace(upright, voxels=np.asarray(stored.dataobj).transpose(2, 1, 0), affine=stored.affine)
        reply = ask(strict, nifti(scan), Accept="application/x-nifti").answer
        mask = nibabel.as_closest_canonical(nibabel.Nifti1Image.from_bytes(gzip.decompress(reply.body)))
        found = np.asarray(mask.dataobj).transpose(2, 1, 0) > 0
        assert not (found & rod).any()
        assert (found & plate).sum() > 0.7 * plate.sum()

    def test_slices_keep_the_order_of_the_file(self, finder: Model) -> None:
        for turn in (np.diag([1.0, 1.0, 1.0]), np.diag([1.0, 1.0, -1.0])):
            scan, lesion = head(turn=turn)
            reply = told(finder, nifti(scan))
            with_tumour = [bool(entry["tumor_pixels"]) for entry in reply["slices"]]
            assert with_tumour == lesion.any(axis=(1, 2)).tolist()


class TestAnswer:
    def test_what_is_said_of_a_nifti(self, finder: Model) -> None:
        scan, _ = head()
        reply = told(finder, nifti(scan))
        geometry = reply["input"]["geometry"]
        assert (reply["input"]["format"], geometry["size"], geometry["orientation"]) == ("nifti", [40, 44, 12], "RAS")
        assert geometry["source"] == "sform"
        assert np.allclose(geometry["affine_ras"], scan.affine)
        assert geometry["spacing_mm"] == pytest.approx([3.0, 3.2, 5.0])
        assert {entry["sop_instance_uid"] for entry in reply["slices"]} == {None}
        assert all(entry["images"] == {} for entry in reply["slices"]), "no pictures of a volume by default"
        t1, flair, t1c = reply["sequences"]
        assert [entry["channel"] for entry in reply["sequences"]] == ["t1", "flair", "t1c"]
        assert t1["recognised"] == t1c["recognised"] == "missing"
        assert (flair["recognised"], flair["resampled"], flair["intensity"]["mapping"]) == (
            "only_one",
            "same_grid",
            "near maximum",
        )

    def test_pictures_on_request(self, finder: Model) -> None:
        scan, lesion = head()
        reply = told(finder, nifti(scan), X_BrainSeg_Outputs="scan,mask", X_BrainSeg_Slices="7-7")
        assert [sorted(entry["images"]) for entry in reply["slices"]] == [
            ["mask", "scan"] if index == 7 else [] for index in range(12)
        ]
        bare = ask(finder, nifti(scan), Accept="image/tiff").answer
        pages = tifffile.imread(io.BytesIO(bare.body))
        assert pages.shape == lesion.shape
        assert np.array_equal(pages > 0, mask_of(finder, nifti(scan))[0])

    def test_each_dicom_slice_names_its_instance_and_the_seg_refers_to_them(self, finder: Model) -> None:
        scan, _ = head()
        sent = dicom_zip(scan)
        named = [entry["sop_instance_uid"] for entry in told(finder, sent)["slices"]]
        assert len(set(named)) == 12
        for kind in ("binary", "labelmap"):
            reply = ask(finder, sent, Accept="application/dicom", X_BrainSeg_Seg=kind).answer
            assert (reply.status, reply.content_type) == (200, "application/dicom")
            written = pydicom.dcmread(io.BytesIO(reply.body))
            assert (written.Modality, written.SegmentationType) == ("SEG", kind.upper())
            assert {item.ReferencedSOPInstanceUID for item in written.SourceImageSequence} == set(named)

    def test_the_same_scan_gives_the_same_bytes(self, finder: Model) -> None:
        sent = dicom_zip(head()[0])
        for accept in ("application/x-nifti", "application/dicom"):
            first, second = (ask(finder, sent, Accept=accept).answer.body for _ in range(2))
            assert first == second
        other = ask(finder, sent, Accept="application/dicom", X_BrainSeg_Threshold="0.4").answer.body
        uids = [pydicom.dcmread(io.BytesIO(body)).SOPInstanceUID for body in (second, other)]
        assert uids[0] != uids[1]

    def test_thick_sagittal_slices_are_answered_with_a_warning(self, finder: Model) -> None:
        letters = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], float)
        scan, lesion = head((44, 40, 12), (3.0, 3.0, 6.0), letters)
        reply = told(finder, nifti(scan))
        assert reply["input"]["geometry"]["orientation"] == "ASR"
        assert "not_axial" in codes(reply)
        assert [bool(entry["tumor_pixels"]) for entry in reply["slices"]] == lesion.any(axis=(1, 2)).tolist()


class TestSequences:
    def test_each_on_its_own_grid(self, finder: Model) -> None:
        flair, lesion = head()
        t1, _ = head((36, 50, 20), (3.3, 2.8, 3.0), rotation(5) @ ORIENTATIONS[20])
        middle = flair.affine @ (*((np.array([40, 44, 12]) - 1) / 2), 1.0)
        t1.affine[:3, 3] += (middle - t1.affine @ (*((np.array([36, 50, 20]) - 1) / 2), 1.0))[:3]
        turned = dataclasses.replace(
            flair, voxels=flair.voxels[:, :, ::-1], affine=flair.affine @ np.diag([-1.0, 1, 1, 1])
        )
        turned.affine[:3, 3] = (flair.affine @ (39, 0, 0, 1.0))[:3]
        reply = told(finder, {"flair": nifti(flair), "t1": nifti(t1), "t1c": nifti(turned)})
        seen = {entry["channel"]: entry for entry in reply["sequences"]}
        assert {name: entry["resampled"] for name, entry in seen.items()} == {
            "flair": "same_grid",
            "t1": "trilinear",
            "t1c": "turned",
        }
        assert {entry["recognised"] for entry in reply["sequences"]} == {"named"}
        assert seen["t1c"]["covered_percent"] == 100
        assert seen["t1"]["size"] == [36, 50, 20]
        assert reply["tumor_pixels"] == pytest.approx(lesion.sum(), rel=0.25)

    def test_apart_from_each_other(self) -> None:
        flair, _ = head()
        elsewhere = dataclasses.replace(flair, affine=flair.affine.copy())
        elsewhere.affine[:3, 3] += 900
        parts = {"flair": nifti(flair), "t1": nifti(elsewhere)}
        assert "do not lie over each other" in refused(forbidden(), parts, "geometry_mismatch")

    def test_registration_on_request(self, finder: Model) -> None:
        pytest.importorskip("SimpleITK")
        flair, _ = head((40, 44, 30), (3.0, 3.2, 3.0))
        moved = dataclasses.replace(flair, affine=flair.affine.copy())
        moved.affine[:3, 3] += (9.0, -6.0, 3.0)
        parts = {"flair": nifti(flair), "t1": nifti(moved)}
        told_of = told(finder, parts, X_BrainSeg_Register="rigid")["sequences"][0]["registered"]
        assert told_of["shift_mm"] == pytest.approx(np.linalg.norm((9, -6, 3)), abs=1.5)
        assert told(finder, parts)["sequences"][0]["registered"] is None

    def test_a_motion_that_no_head_makes_is_not_taken(self, finder: Model) -> None:
        pytest.importorskip("SimpleITK")
        flair, _ = head((40, 44, 30), (3.0, 3.2, 3.0))
        moved = dataclasses.replace(flair, affine=flair.affine.copy())
        moved.affine[:3, 3] += (0.0, 38.0, 0.0)
        parts = {"flair": nifti(flair), "t1": nifti(moved)}
        reply, plain = told(finder, parts, X_BrainSeg_Register="rigid"), told(finder, parts)
        (warning,) = (entry for entry in reply["warnings"] if entry["code"] == "not_registered")
        assert "stays where its coordinates put it" in warning["detail"]
        assert "38 mm" in warning["detail"]
        assert reply["sequences"] == plain["sequences"]
        assert reply["lesions"] == plain["lesions"]

    def test_the_scale_of_a_sequence_changes_nothing(self, finder: Model) -> None:
        scan, _ = head()
        found = mask_of(finder, nifti(scan))[0]
        for gain, offset in ((0.2, 0), (13.0, -900), (1.0, 500)):
            other = dataclasses.replace(scan, voxels=(scan.voxels * gain + offset).astype(np.int16))
            assert np.array_equal(mask_of(finder, nifti(other))[0], found)

    def test_one_value_throughout(self, finder: Model) -> None:
        scan, _ = head()
        flat = dataclasses.replace(scan, voxels=np.full_like(scan.voxels, 7))
        reply = told(finder, nifti(flat))
        assert "low_dynamic_range" in codes(reply)
        assert reply["verdict"] == "no_tumor_detected"


class TestRefusals:
    def test_a_dicom_mask_of_a_nifti(self) -> None:
        assert "x-nifti" in refused(forbidden(), nifti(head()[0]), "not_acceptable", Accept="application/dicom")

    def test_the_next_kind_is_taken_where_the_first_cannot_be(self, finder: Model) -> None:
        reply = ask(finder, nifti(head()[0]), Accept="application/dicom, application/x-nifti;q=0.5").answer
        assert reply.content_type == "application/x-nifti"

    @pytest.mark.parametrize("accept", ["application/x-nifti", "application/dicom"])
    def test_geometry_of_a_picture(self, accept: str) -> None:
        refused(forbidden(), png(ramp(20, 30, 3)), "not_acceptable", Accept=accept)

    @pytest.mark.parametrize(
        "field", [{"X_BrainSeg_Series": "1"}, {"X_BrainSeg_Register": "rigid"}, {"X_BrainSeg_Seg": "binary"}]
    )
    def test_fields_of_volumes_with_a_picture(self, field: dict[str, str]) -> None:
        assert "picture" in refused(forbidden(), png(ramp(20, 30, 3)), "invalid_parameter", **field)

    def test_a_range_for_a_volume(self) -> None:
        headers = {"X_BrainSeg_Intensity_Range": "0,255"}
        assert "scaled by itself" in refused(forbidden(), nifti(head()[0]), "invalid_parameter", **headers)

    def test_a_picture_as_a_sequence(self) -> None:
        refused(forbidden(), {"flair": png(ramp(20, 30, 3))}, "unsupported_format")

    def test_a_t1_alone(self) -> None:
        refused(forbidden(), {"t1": nifti(head()[0])}, "no_image")

    def test_more_slices_than_are_looked_at(self) -> None:
        scan = phantom((4, 4, MOST_SLICES + 1), (1.0, 1.0, 1.0))
        assert str(MOST_SLICES) in refused(forbidden(), nifti(scan), "too_large")

    def test_too_many_voxels(self) -> None:
        refused(forbidden(Limits(voxels=5000)), nifti(head()[0]), "too_large")

    def test_the_deadline(self, finder: Model) -> None:
        late = dataclasses.replace(finder, deadline_seconds=-1)
        refused(late, nifti(head()[0]), "timeout")

    def test_pictures_of_many_slices_are_too_much(self) -> None:
        small = forbidden(Limits(answer_bytes=1000))
        refused(small, nifti(head()[0]), "response_too_large", X_BrainSeg_Outputs="panel")


def test_whatever_is_sent_gets_an_answer(finder: Model) -> None:
    """Cut, bent and padded files: refused or answered, never our fault."""
    scan, _ = head((12, 14, 6), (9.0, 9.0, 9.0))
    whole = {"nifti": nifti(scan), "gzip": nifti(scan, packed=True), "dicom": dicom_zip(scan)}
    generator = np.random.default_rng(36)
    counted: dict[str, int] = {}
    for name, data in whole.items():
        for number in range(100):
            bent = bytearray(data)
            if number % 3 == 0:
                bent = bent[: int(generator.integers(1, len(bent)))]
            for place in generator.integers(0, min(len(bent), 400 if number % 2 else len(bent)), 1 + number % 5):
                bent[int(place)] = int(generator.integers(256))
            outcome = ask(finder, bytes(bent))
            assert outcome.answer.status < 500, (name, number, outcome.answer.body[:200])
            if outcome.code == "ok":
                check_answer(outcome.answer.body)
            else:
                assert json.loads(outcome.answer.body)["code"] == outcome.code
            counted[outcome.code] = counted.get(outcome.code, 0) + 1
    assert len(counted) >= 4, counted
    assert counted["ok"] < 250, counted


class TestZip:
    """Everything in one: the same mask, the same figures, and the FLAIR where it is asked for."""

    def _files(self, finder: Model, data: bytes, **headers: str) -> dict[str, bytes]:
        reply = ask(finder, data, Accept="application/zip", **headers).answer
        assert (reply.status, reply.content_type) == (200, "application/zip"), reply.body
        assert SENTINEL.encode() not in str(reply.headers).encode()
        with zipfile.ZipFile(io.BytesIO(reply.body)) as packed:
            return {name: packed.read(name) for name in packed.namelist()}

    def test_of_a_nifti(self, finder: Model) -> None:
        scan, _ = head()
        files = self._files(finder, nifti(scan))
        assert set(files) == {"mask.nii.gz", "result.json"}
        assert files["mask.nii.gz"] == ask(finder, nifti(scan), Accept="application/x-nifti").answer.body
        reply = check_answer(files["result.json"])
        assert reply["tumor_volume_ml"] == told(finder, nifti(scan))["tumor_volume_ml"] > 0
        assert all(one["images"] == {} for one in reply["slices"])

    def test_of_a_series_with_the_scan_for_viewers(self, finder: Model) -> None:
        scan, _ = head(turn=rotation(9) @ ORIENTATIONS[3])
        files = self._files(finder, dicom_zip(scan), X_BrainSeg_Outputs="scan")
        assert {"mask.nii.gz", "result.json", "scan.nii.gz", "seg.dcm"} < set(files)
        assert files["seg.dcm"] == ask(finder, dicom_zip(scan), Accept="application/dicom").answer.body
        shown = nibabel.Nifti1Image.from_bytes(gzip.decompress(files["scan.nii.gz"]))
        mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(files["mask.nii.gz"]))
        assert np.array_equal(shown.affine, mask.affine)
        # The same voxels in millimetres: the brightest are the lesion's, where the mask is.
        bright = shown.get_fdata() > 0.9 * LESION
        assert bright.any()
        assert 2 * (bright & (mask.get_fdata() > 0)).sum() / (bright.sum() + (mask.get_fdata() > 0).sum()) > 0.85
        assert SENTINEL.encode() not in gzip.decompress(files["scan.nii.gz"])

    def test_pictures_are_not_for_a_zip(self, finder: Model) -> None:
        message = refused(
            finder, nifti(head()[0]), "invalid_parameter", Accept="application/zip", X_BrainSeg_Outputs="overlay"
        )
        assert "overlay" in message

    def test_none_of_a_picture(self, finder: Model) -> None:
        assert "application/zip" in refused(finder, png(ramp()), "not_acceptable", Accept="application/zip")

    def test_one_too_large_says_what_to_leave_out(self, finder: Model) -> None:
        small = dataclasses.replace(finder, limits=dataclasses.replace(finder.limits, answer_bytes=200))
        assert "leave scan out" in refused(small, nifti(head()[0]), "response_too_large", Accept="application/zip")
