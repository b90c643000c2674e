"""The detector's front door, as the front door's own tests have it."""

from tests.web.conftest import detector, door

__all__ = ["detector", "door"]
