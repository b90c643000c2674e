"""A scanner's numbers -> the scale that the network learned from. One stated mapping; docs/volumes.md says how it was
chosen, and training's card which it was. It looks at a sequence's own values and at nothing else."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAPPING = "near maximum"
PERCENTILE = 99.99  # of the head
# That percentile in the published pictures, 0..1: medians over the 63 training cases of version 1.0.
TARGETS = {"t1": 0.8314, "flair": 0.8153, "t1c": 0.8196}
# The head: above this share of the way from the first of these percentiles of all voxels to the second.
HEAD_SHARE, HEAD_BETWEEN = 0.1, (1.0, 99.0)
MOST_VOXELS = 4_000_000  # that are looked at: every second, third, ... voxel of a larger volume
# For the model card: what a volume's intensities go through before the network sees them.
RECORD = {
    "mapping": MAPPING,
    "rule": "smallest voxel to 0, the head's percentile to its target, straight between, clipped to 0..1",
    "percentile": PERCENTILE,
    "targets": TARGETS,
    "source": "medians over the training cases of version 1.0; chosen on its validation cases (docs/volumes.md)",
}


@dataclass(frozen=True)
class Scale:
    """``low`` becomes 0, ``high`` becomes ``target``, what is beyond 0..1 is clipped. Of a sequence whose voxels are
    all alike everything becomes 0."""

    mapping: str
    low: float
    high: float
    target: float

    @property
    def flat(self) -> bool:
        return not self.high > self.low

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def to_uint8(self, voxels: NDArray[np.float32]) -> NDArray[np.uint8]:
        """``voxels`` of any shape -> 0..255 for 0..1, as the published pictures have it; NaN becomes 0."""
        if self.flat:
            return np.zeros(voxels.shape, np.uint8)
        unit = np.subtract(voxels, np.float32(self.low))
        unit *= np.float32(255.0 * self.target / (self.high - self.low))
        unit += np.float32(0.5)
        np.nan_to_num(unit, copy=False, nan=0.0)
        np.clip(unit, 0.0, 255.0, out=unit)
        return unit.astype(np.uint8)


def scale_of(voxels: NDArray[np.float32], channel: str) -> Scale:
    """The scale of a whole sequence, finite ``voxels`` of any shape, taken for ``channel`` (``t1``, ``flair``,
    ``t1c``)."""
    step = -(-voxels.size // MOST_VOXELS)
    seen = voxels.ravel()[::step] if step > 1 else voxels.ravel()
    low = float(voxels.min())
    begin, end = np.percentile(seen, HEAD_BETWEEN)
    head = seen[seen > begin + HEAD_SHARE * (end - begin)]
    high = float(np.percentile(head, PERCENTILE)) if head.size else float(voxels.max())
    return Scale(MAPPING, low, high, TARGETS[channel])
