"""One glioma patient as the scanner left him, where his files are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from archive.store import default_version, release_folder
from handler.limits import Limits
from handler.pipeline import answer, open_model
from handler.volumes.register import register
from handler.volumes.study import Study, read_study
from handler.volumes.volume import Volume

NATIVE = Path(__file__).parents[4] / "shared" / "native"
EXPERT_SLICES, EXPERT_ML = (14, 20), 26.0  # 7,115 pixels of some 0.82 mm, 5.5 mm apart, in the published pictures


pytestmark = pytest.mark.skipif(not NATIVE.is_dir(), reason="the native patient is not here")


def parts_of(*names: str) -> dict[str, bytearray]:
    return {name: bytearray((NATIVE / f"{name}.nii.gz").read_bytes()) for name in names}


def test_the_native_patient() -> None:
    model = open_model(release_folder(default_version()), "torch", 1)
    outcome = answer(model, parts_of("flair", "t1", "t1c"), {"content-type": "multipart/form-data"})
    reply = json.loads(outcome.answer.body)
    assert outcome.code == "ok", reply
    largest = reply["lesions"][0]
    print(f"{reply['tumor_volume_ml']} ml, the largest of {reply['lesion_count']} lesions on {largest['slices']}")
    assert reply["input"]["geometry"]["size"] == [208, 256, 26]
    assert abs(reply["tumor_volume_ml"] / EXPERT_ML - 1) < 0.4
    assert all(abs(a - b) <= 1 for a, b in zip(largest["slices"], EXPERT_SLICES, strict=True))


def apart(one: NDArray[np.float64], other: NDArray[np.float64], middle: NDArray[np.float64]) -> tuple[float, float]:
    """Millimetres at ``middle`` and degrees between two rigid motions, 4 x 4."""
    both = np.linalg.inv(one) @ other
    turn = np.degrees(np.arccos(np.clip((np.trace(both[:3, :3]) - 1) / 2, -1, 1)))
    return float(np.linalg.norm((both @ middle - middle)[:3])), float(turn)


@pytest.mark.slow
def test_where_the_head_moved_between_sequences() -> None:
    """FLAIR, T1 and T1 with contrast were taken at 22:42, 23:11 and 23:26 (the headers say so), and the head moved
    twice: the two T1 share a grid and do not lie over each other. Nobody knows the true motions, but three found from
    different pairs of pictures must close a loop, which motions found amiss do not."""
    pytest.importorskip("SimpleITK")
    study: Study = read_study(
        {name: bytes(data) for name, data in parts_of("flair", "t1", "t1c").items()}, None, Limits()
    )
    flair, t1, t1c = study.flair, study.t1, study.t1c
    assert t1 is not None
    assert t1c is not None
    assert t1.grid.same_as(t1c.grid)

    def motion(moving: Volume, fixed: Volume) -> NDArray[np.float64]:
        found = register(moving, fixed)
        assert found.doubt is None
        print(f"{found.shift_mm:.1f} mm, {found.turn_degrees:.1f} degrees, {found.agreed:.3f} -> {found.agrees:.3f}")
        assert found.agrees > 1.2 * found.agreed
        return found.grid.affine_ras @ np.linalg.inv(moving.grid.affine_ras)

    middle = flair.grid.affine_ras @ np.array([*(np.array(flair.grid.size) - 1) / 2, 1])
    t1_to_flair, t1c_to_flair, t1c_to_t1 = motion(t1, flair), motion(t1c, flair), motion(t1c, t1)
    shift, turn = apart(t1c_to_flair, t1_to_flair @ t1c_to_t1, middle)
    assert shift < 1.0
    assert turn < 1.0
    back_shift, back_turn = apart(np.eye(4), motion(flair, t1) @ t1_to_flair, middle)
    assert back_shift < 1.0
    assert back_turn < 1.0
