"""Where another sequence lies when its coordinates do not say so: the rigid motion that makes the pictures agree."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.volumes.grid import TO_LPS, Grid
from handler.volumes.volume import Volume
from handler.wanted import UnwantedError, ask

COARSE_MM = 2.5  # voxels of the pictures that are compared: mutual information needs no finer ones, and seconds count
BINS, STEPS, RELAXATION = 32, 200, 0.7
FIRST_MM, LAST_MM = 2.0, 1e-3  # steps of the search
VOXELS, SEED = 100_000, 36  # that are compared at most, the same ones every time
LARGEST = 512  # voxels a side of a coarse picture
# Heads turn and slide between sequences: ../shared/native lies 17 mm and 13 degrees off. More than this is a search
# that went astray.
MOST_MM, MOST_DEGREES = 30.0, 20.0


@dataclass(frozen=True, eq=False)
class Motion:
    """``grid``: the moved volume's own, put where it belongs. ``shift_mm``: how far the tissue in the middle of the
    fixed volume went; ``turn_degrees``: by how much it turned. ``agreed`` and ``agrees``: mutual information of the
    pictures, in nats, where the files put them and after the motion."""

    grid: Grid
    shift_mm: float
    turn_degrees: float
    agreed: float
    agrees: float

    @property
    def doubt(self) -> str | None:
        """Why the motion is not to be taken, None where it is: the pictures agree no better after it, or it is longer
        than :data:`MOST_MM` or :data:`MOST_DEGREES`."""
        if not self.agrees > self.agreed:
            return "no motion was found that makes it agree better with FLAIR"
        if self.shift_mm > MOST_MM or self.turn_degrees > MOST_DEGREES:
            return (
                f"the motion found, {self.shift_mm:.0f} mm and {self.turn_degrees:.0f} degrees, is more than a head "
                f"moves ({MOST_MM:.0f} mm, {MOST_DEGREES:.0f} degrees)"
            )
        return None


def _simpleitk() -> Any:
    try:
        sitk: Any = import_module("SimpleITK")
    except ImportError:
        raise RequestError(
            "invalid_parameter",
            "Field register is 'rigid', which this server cannot do: it was installed without its extra 'register' "
            "(SimpleITK). Leave the field out, or send sequences that are laid over each other already.",
        ) from None
    # The sums of several threads differ from run to run, and so would the mask; nothing else here uses ITK's.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    return sitk


def _image(sitk: Any, volume: Volume) -> Any:
    """The volume for SimpleITK, coarse, in 0..1. ITK wants right-angled axes: the nearest ones are taken."""
    steps = [max(1, int(COARSE_MM // mm)) for mm in volume.grid.spacing_mm[::-1]]
    steps = [max(step, -(-side // LARGEST)) for step, side in zip(steps, volume.voxels.shape, strict=True)]
    coarse = volume.voxels[:: steps[0], :: steps[1], :: steps[2]].astype(np.float32)
    low, high = (float(value) for value in np.percentile(coarse, (1, 99.5)))
    image = sitk.GetImageFromArray(np.clip((coarse - low) / max(high - low, 1e-6), 0, 1))
    affine = volume.grid.affine_lps
    spacing = np.array(volume.grid.spacing_mm)
    left, _, right = np.linalg.svd(affine[:3, :3] / spacing)
    image.SetDirection((left @ right).ravel().tolist())
    image.SetSpacing((spacing * steps[::-1]).tolist())
    image.SetOrigin(affine[:3, 3].tolist())
    return image


def _matrix(transform: Any) -> NDArray[np.float64]:
    """4 x 4, LPS, of a rigid transform with a centre."""
    turn = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, centre + shift - turn @ centre
    return matrix


def _end_unwanted(method: Any) -> None:
    try:
        ask()
    except UnwantedError:
        method.StopRegistration()


def register(moving: Volume, fixed: Volume) -> Motion:
    """The rigid motion by which ``moving`` agrees best with ``fixed`` (Mattes' mutual information, which takes two
    sequences of different contrast; SimpleITK), begun from where the files say both lie. The same input gives the same
    motion: one thread, a fixed sample of voxels. Whether it is to be taken, :attr:`Motion.doubt` says.

    Raises ``invalid_parameter`` where SimpleITK is not installed, ``geometry_mismatch`` where no motion was found."""
    sitk = _simpleitk()
    target, source = _image(sitk, fixed), _image(sitk, moving)
    ask()
    middle = fixed.grid.affine_lps @ np.array([*(np.array(fixed.grid.size) - 1) / 2, 1])
    start = sitk.Euler3DTransform()
    start.SetCenter(middle[:3].tolist())
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)
    method.SetMetricAsMattesMutualInformation(BINS)
    if target.GetNumberOfPixels() > VOXELS:
        method.SetMetricSamplingStrategy(method.RANDOM)
        method.SetMetricSamplingPercentage(VOXELS / target.GetNumberOfPixels(), SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(FIRST_MM, LAST_MM, STEPS, RELAXATION)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([3, 1, 0])
    method.SetInitialTransform(start, inPlace=True)
    # An error from within would come out as ITK's: the search is told to end, and ends the request after that.
    method.AddCommand(sitk.sitkIterationEvent, lambda: _end_unwanted(method))
    try:
        agreed = -method.MetricEvaluate(target, source)
        ask()
        method.Execute(target, source)
        agrees = -method.MetricEvaluate(target, source)
    except RuntimeError:
        raise RequestError(
            "geometry_mismatch",
            "No rigid motion lays the sequences over each other: they may not overlap at all, or be too thin. Send "
            "sequences of one examination.",
        ) from None
    ask()
    there = _matrix(start)  # from a point of the fixed one to the same tissue in the moving one
    affine = TO_LPS @ np.linalg.inv(there) @ moving.grid.affine_lps
    turn = np.degrees(np.arccos(np.clip((np.trace(there[:3, :3]) - 1) / 2, -1, 1)))
    shift = np.linalg.norm((there @ middle - middle)[:3])
    return Motion(Grid(moving.grid.size, affine, moving.grid.source), float(shift), float(turn), agreed, agrees)
