"""Risk against coverage: small examples by hand, and what equal scores do."""

from __future__ import annotations

import numpy as np
import pytest

from training.judge.risk import augrc, aurc, ranked


def test_by_hand() -> None:
    score, loss = np.array([0.9, 0.5, 0.7, 0.1]), np.array([0.0, 0.4, 0.2, 1.0])
    assert aurc(score, loss) == pytest.approx((0 + 0.1 + 0.2 + 0.4) / 4)
    assert augrc(score, loss) == pytest.approx((0 + 0.05 + 0.15 + 0.4) / 4)
    assert aurc(-score, loss) > aurc(score, loss)


def test_equal_scores_count_as_their_mean_in_any_order() -> None:
    loss = np.array([0.0, 1.0, 0.0, 1.0, 0.5])
    assert aurc(np.ones(5), loss) == aurc(np.ones(5), loss[::-1]) == pytest.approx(0.5)
    assert augrc(np.ones(5), loss) == pytest.approx(0.5 * np.arange(1, 6).mean() / 5)


def test_intervals_are_over_cases() -> None:
    """Ten slices of each of two cases, one good and one bad, are no more than two cases."""
    case = ["a"] * 10 + ["b"] * 10
    loss = np.repeat([0.0, 1.0], 10)
    good, bad = ranked({"good": 1 - loss, "bad": loss}, loss, case, "bad")
    assert good.aurc_interval == (0.0, 1.0)
    assert bad.ratio == 1.0
    assert good.ratio < 0.5
