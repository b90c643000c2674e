"""What is taken from other sets: whose patient is fitted on under another name is not passed off as unseen."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from handler.card import InputSpec
from training.trust.foreign import volumes


def write(path: Path) -> None:
    """A ball, as int16."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y, z = np.mgrid[-12:12, -12:12, -8:8]
    ball = (900 * (x**2 + y**2 + (1.5 * z) ** 2 < 100)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(ball, np.eye(4)), path)


def test_the_patient_that_is_fitted_on_counts_as_seen(tmp_path: Path) -> None:
    for patient in ("pat0003", "pat0004"):
        for name in ("flair", "t1c"):
            write(tmp_path / "regions" / patient / f"{name}.nii.gz")
    for name in ("t1", "flair", "t1c", "t2"):
        write(tmp_path / "regions" / "full0021" / f"{name}.nii.gz")
    spec = InputSpec(64, 64)
    judging = {kind.name: kind for kind in volumes(tmp_path, spec, "judge")}
    assert {name: (kind.seen, kind.reason) for name, kind in judging.items()} == {
        "head without skull, pat0003": (False, None),
        "head without skull, pat0004": (True, None),
    }
    fitted = list(volumes(tmp_path, spec, "fit"))
    assert all(kind.reason in ("other_contrast", "other_plane") and len(kind.pictures) for kind in fitted)
    assert not list(volumes(tmp_path, spec, "validation"))
