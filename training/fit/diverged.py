"""The one way in which a training ends that no setting forbids."""

from __future__ import annotations


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite."""
