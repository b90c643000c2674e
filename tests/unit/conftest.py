"""Models of the unit tests: real pipelines around networks so small that their answers are known exactly."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

from handler.pipeline import Model
from tests.unit.models import FLAIR_RULE, model

settings.register_profile(
    "quick",
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.differing_executors],
)
settings.register_profile("search", settings.get_profile("quick"), max_examples=1000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def flair() -> Model:
    """Marks what is bright in FLAIR: logit = 20 (FLAIR - 0.6), on the network's 256 x 256."""
    return model(FLAIR_RULE)
