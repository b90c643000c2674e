"""Facts about slices: as many for any grid, finite for any samples, and the same alone as among others."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.trust.facts import COUNT, Facts, facts
from samples.phantom import draw
from tests.gates import T1_MEAN


@settings(deadline=None, max_examples=15)
@given(st.sampled_from([(64, 64), (96, 64), (128, 256)]), st.integers(0, 99), st.sampled_from([0.0, 1e-3, 0.3, 1.0]))
def test_they_are_finite_for_any_samples(shape: tuple[int, int], seed: int, bright: float) -> None:
    images = np.random.default_rng(seed).random((2, *shape, 3), dtype=np.float32) * np.float32(bright)
    images[1] = bright
    found = facts(images)
    assert found.values.shape == (2, COUNT)
    assert np.isfinite(found.values).all()


def test_a_slice_has_the_same_facts_alone_as_in_a_stack() -> None:
    images = np.stack([draw(seed, 0.1, 128).image for seed in range(3)]).astype(np.float32) / 255
    together = facts(images)
    alone = Facts.none()
    for image in images:
        alone = alone.and_of(facts(image[None]))
    np.testing.assert_allclose(alone.values, together.values, rtol=1e-5, atol=1e-5)
    assert together.values[0, T1_MEAN] == pytest.approx(images[0][images[0].max(axis=2) > 0.1][:, 0].mean(), abs=0.03)


def test_black_and_nearly_black_are_told_apart_from_a_head() -> None:
    head = draw(1, 0.0, 64).image.astype(np.float32) / 255
    found = facts(np.stack([head, head / 16, 0 * head]))
    assert found.blank.tolist() == [False, True, True]
    assert found.black.tolist() == [False, False, True]


def test_no_slices_have_no_facts() -> None:
    assert facts(np.empty((0, 64, 64, 3), np.float32)).values.shape == (0, COUNT)
