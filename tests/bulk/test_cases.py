"""Cases of a manifest: sequences that are files of their own, together as the endpoint takes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bulk import run as run_module
from bulk import worker as worker_module
from bulk.errors import BulkError
from bulk.release import open_archive
from bulk.task import Part, Task
from handler.pipeline import answer
from prove.drawn.volumes import nifti, phantom
from tests.bulk.conftest import Bulk, files_of, lasting, picture, rows
from tests.handler.volumes.test_classes import mask_of

SIZE = (40, 40, 5)


def sequences(folder: Path) -> dict[str, bytes]:
    """FLAIR, T1 and T1 with contrast of one head, written to ``folder``."""
    folder.mkdir()
    drawn = phantom(SIZE)
    found = {}
    for number, name in enumerate(("flair", "t1", "t1c")):
        drawn.voxels[:, number::3, ::2] += 40
        found[name] = nifti(drawn, packed=True)
        (folder / f"{name}.nii.gz").write_bytes(found[name])
    return found


def listed(folder: Path, *lines: str) -> Path:
    (folder / "cases.csv").write_text("\n".join(("who,flair,t1,t1c", *lines)) + "\n")
    return folder / "cases.csv"


WHOLE = "x,in/flair.nii.gz,in/t1.nii.gz,in/t1c.nii.gz"


def test_a_case_is_what_the_endpoint_makes_of_its_parts(
    bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, out = sequences(tmp_path / "in"), tmp_path / "out"
    manifest = listed(tmp_path, WHOLE)
    assert bulk.alone(manifest, out, gallery=1).done == 1
    (row,) = rows(out)
    assert (row["error_code"], row["files"], row["path"]) == (None, 3, str(tmp_path / "in" / "flair.nii.gz"))
    assert "missing_sequence" not in row["warnings"]
    model = open_archive(bulk.opened.content, bulk.opened.sha256)
    headers = {"Content-Type": "multipart/form-data", "Accept": "application/x-nifti"}
    served = answer(model, sent, headers).answer.body
    (name,) = row["outputs"]
    written = np.asarray(nibabel.load(out / name).dataobj).transpose(2, 1, 0)
    np.testing.assert_array_equal(written, mask_of(served))
    assert (out / "report.html").read_text().count("<img") == (row["tumor_pixels"] > 0)
    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "read_scan", lambda *_: pytest.fail("a scan was read again"))
        assert bulk.alone(manifest, out).before == 1


def test_which_file_is_which_is_part_of_the_key(bulk: Bulk, tmp_path: Path) -> None:
    sequences(tmp_path / "in")
    out = tmp_path / "out"
    swapped = "x,in/flair.nii.gz,in/t1c.nii.gz,in/t1.nii.gz"
    for line in (WHOLE, swapped, "x,in/flair.nii.gz,,in/t1c.nii.gz", "x,in/flair.nii.gz,,"):
        assert bulk.alone(listed(tmp_path, line), out).done == 1
    found = rows(out)
    assert sorted(row["files"] for row in found) == [1, 2, 3, 3]
    assert len({row["input_sha256"] for row in found}) == 4
    # A FLAIR alone is the scan that it is in a folder; T1 and T1 with contrast are there scans of their own.
    alone = bulk.alone(tmp_path / "in", out)
    assert (alone.before, alone.done) == (1, 2)


def test_a_parquet_of_cases_and_what_is_wrong_with_them(bulk: Bulk, tmp_path: Path) -> None:
    sequences(tmp_path / "in")
    (tmp_path / "in" / "photo.png").write_bytes(picture(1))
    manifest, out = tmp_path / "cases.parquet", tmp_path / "out"
    columns = {
        "flair": ["in/flair.nii.gz", "in/photo.png", "in/gone.nii.gz"],
        "t1c": ["in/t1c.nii.gz", "in/t1.nii.gz", None],
    }
    pq.write_table(pa.table(columns), manifest)
    assert bulk.alone(manifest, out).scans == 3
    codes = {Path(row["path"]).name: (row["error_code"], row["files"]) for row in rows(out)}
    assert codes == {
        "flair.nii.gz": (None, 2),
        "photo.png": ("unsupported_format", 2),
        "gone.nii.gz": ("unreadable", 1),
    }


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["x,,in/t1.nii.gz,"], "row 1 has an empty flair"),
        ([WHOLE, WHOLE], "row 2, flair: the file was named before"),
        (["x,in/flair.nii.gz,in/flair.nii.gz,"], "row 1, t1: the file was named before"),
        (["x,in/flair.nii.gz,in,"], "row 1, t1: expected one file"),
        (["x,in/flair.nii.gz,dicomweb+https://a/studies/1,"], "row 1, t1: expected one file"),
        (["x,in/flair.nii.gz,s3://who:secret@bucket/t1.nii,"], "a name or password in an address"),
    ],
)
def test_a_manifest_that_says_no_cases(lines: list[str], said: str, bulk: Bulk, tmp_path: Path) -> None:
    sequences(tmp_path / "in")
    with pytest.raises(BulkError, match=said):
        bulk.alone(listed(tmp_path, *lines), tmp_path / "out")


def test_a_case_by_two_models(bulk: Bulk, labelled: Bulk, tmp_path: Path) -> None:
    sequences(tmp_path / "in")
    manifest, out = listed(tmp_path, WHOLE), tmp_path / "out"
    assert bulk.alone(manifest, out).done == 1
    before = [lasting(row) for row in rows(out)]
    assert labelled.alone(manifest, out).done == 1
    assert [lasting(row) for row in rows(out) if row["model"] == "brainseg"] == before
    assert len(files_of(out)) == 2


def test_a_case_that_ends_its_workers_is_named_by_the_same_digest(tmp_path: Path) -> None:
    sent = sequences(tmp_path / "in")
    parts = tuple(Part(str(tmp_path / "in" / f"{name}.nii.gz"), 0, "", name) for name in sent)
    digests = [hashlib.sha256(data).hexdigest() for data in sent.values()]
    wanted = "".join(sorted(f"{name} {one}\n" for name, one in zip(sent, digests, strict=True)))
    assert run_module._digest(Task(1, parts), "") == hashlib.sha256(wanted.encode()).hexdigest()
