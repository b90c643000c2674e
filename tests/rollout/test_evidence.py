"""A canary that is as good is stopped with the chance that is stated at most; one that is worse is, and soon."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.store import ROOT
from exchange.outcome import Compared, Outcome
from rollout.limits import CanaryLimits, ShadowLimits
from rollout.trial.canary import Analysis
from rollout.trial.evidence import FEWEST, RECENT, STAKES, Bet, Beyond, Comparison, Judge, Rank
from rollout.trial.shadow import Disagreement


@dataclass(frozen=True)
class Traffic:
    """What requests are like; ``slower``: of the candidate, ``faults``, ``tumor``, ``refused``: shares."""

    slower: float = 1.0
    faults: float = 0.01
    tumor: float = 0.5
    refused: float = 0.05
    coverage: Callable[[random.Random], float] = random.Random.random


@cache
def recorded() -> tuple[float, ...]:
    """Seconds that TorchServe took for one slice each, as benchmark/ has measured them for the released version."""
    measured = json.loads((ROOT / "docs" / "benchmark" / "against.json").read_text(encoding="utf-8"))
    return tuple(measured["values"]["now"]["slice"])


def outcome(chance: random.Random, candidate: bool, traffic: Traffic) -> Outcome:
    if chance.random() < traffic.faults:
        return Outcome(candidate, True)
    seconds = chance.choice(recorded()) * traffic.slower
    if chance.random() < traffic.refused:
        return Outcome(candidate, False, seconds, None, True)
    tumor = chance.random() < traffic.tumor
    return Outcome(candidate, False, seconds, tumor, False, traffic.coverage(chance) if tumor else 0.0)


def stopped(seed: int, worse: Traffic, share: float = 0.25, most: int = 800) -> tuple[int, str] | None:
    """After how many requests of its own a canary is stopped, and why; None where it is not, in ``most`` of all."""
    chance, analysis = random.Random(seed), Analysis(CanaryLimits())
    for _ in range(most):
        candidate = chance.random() < share
        analysis.add(outcome(chance, candidate, worse if candidate else Traffic()))
        if breach := analysis.breach():
            return analysis.candidate.requests, breach
    return None


def test_a_good_canary_is_seldom_stopped() -> None:
    found = [one for seed in range(20) if (one := stopped(seed, Traffic(), most=400))]
    print(f"\n{len(found)} of 20 good canaries were stopped", end="")
    assert len(found) <= 1


@pytest.mark.long  # 400 runs of 2000 requests where 20 of 400 are simulated every day: minutes
def test_a_good_canary_is_stopped_with_the_chance_that_is_stated_at_most() -> None:
    found = sum(stopped(seed, Traffic(), most=2000) is not None for seed in range(400))
    print(f"\n{found} of 400 good canaries were stopped; stated: 5 %", end="")
    assert found <= 0.05 * 400


@pytest.mark.parametrize(
    ("worse", "name", "most"),
    [
        (Traffic(slower=2.0), "latency", 100),
        (Traffic(faults=0.2), "error rate", 200),
        (Traffic(tumor=0.95), "verdicts", 200),
        (Traffic(tumor=0.05), "verdicts", 200),
        (Traffic(refused=0.4), "gate refusals", 200),
        (Traffic(coverage=lambda chance: chance.random() / 1000), "coverage", 300),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_worse_canary_is_stopped(worse: Traffic, name: str, most: int) -> None:
    found = [stopped(seed, worse, most=2000) for seed in range(3)]
    print(f"\n{name}: after {sorted(one[0] for one in found if one)} requests of its own", end="")
    assert all(one is not None and name in one[1] and one[0] <= most for one in found)


def test_what_keeps_the_margins_is_no_breach() -> None:
    assert not any(stopped(seed, Traffic(slower=1.2, faults=0.015, tumor=0.52)) for seed in range(4))


@given(st.lists(st.floats(-1, 1), max_size=40), st.floats(0, 1))
@settings(max_examples=30)
def test_a_capital_is_never_lost_whole_nor_grows_by_more_than_was_bet(differences: list[float], margin: float) -> None:
    bet, best = Bet(margin), 0.0
    for difference in differences:
        bet.add(difference)
        best += math.log1p(max(STAKES) * (1 - margin) / (1 + margin))
        assert -math.inf < bet.log_capital <= best + 1e-9


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=6), st.floats(0.0, 0.9))
@settings(max_examples=20)
def test_the_odds_are_fair_at_the_margin(begin: list[float], margin: float) -> None:
    """Whatever went before, one more difference whose mean is the margin leaves the capital's mean where it was."""

    def after(*more: float) -> float:
        bet = Bet(margin)
        for one in (*begin, *more):
            bet.add(one)
        return math.exp(bet.log_capital)

    up = (1 + margin) / 2  # of +1 and -1, so that the mean is the margin
    assert up * after(1.0) + (1 - up) * after(-1.0) == pytest.approx(after())


def test_a_rank_looks_at_the_live_versions_latest_values() -> None:
    rank, beyond = Rank(), Beyond()
    for value in range(RECENT + 100):
        assert rank.ready() == (value >= FEWEST)
        rank.learn(float(value))
        beyond.learn(float(value))
    assert rank(99.0) == 0.0
    assert rank(float(RECENT + 100)) == 1.0
    assert rank(100.0 + RECENT / 2) == pytest.approx(0.5, abs=0.01)
    assert beyond(100.0 + 0.96 * RECENT) == 1.0
    assert beyond(100.0 + 0.94 * RECENT) == 0.0


def test_both_directions_count_only_where_they_are_asked_for() -> None:
    one, both = Comparison(0.05, [Judge()]), Comparison(0.05, [Judge()], both=True)
    for _ in range(60):
        for comparison in (one, both):
            comparison.add(False, 1.0)
            comparison.add(True, 0.0)
    assert one.log_capital < 0 < math.log(100) < both.log_capital


def test_a_shadow_that_disagrees_is_found() -> None:
    limits = ShadowLimits(disagreement=0.02, flips=0.1)
    found = Disagreement(limits)
    for number in range(200):
        found.add(Compared(0.93 + 0.04 * (number % 2), False, -0.4, sha256=f"{number:064x}"))
        if found.breach():
            break
    assert "disagreement 0.05" in found.breach()
    assert found.compared <= 200
    figures = found.figures()
    assert len(figures["shadow_worst"]) == 5
    assert [one["dice"] for one in figures["shadow_worst"]][:4] == [pytest.approx(0.93)] * 4
    assert figures["shadow_area"] == pytest.approx(0.4)


def test_a_shadow_that_agrees_is_within_the_limits_once_enough_was_compared() -> None:
    found = Disagreement(ShadowLimits(min_compared=10))
    for number in range(60):
        assert ("only" in found.over()) == (number < 10)
        found.add(Compared(0.97 if number % 2 else None, number == 7, 0.1))
    assert (found.over(), found.breach()) == ("", "")
    for _ in range(60):
        found.add(Compared(None, True, 0.0))
    assert "other verdicts" in found.breach()
    assert "other verdicts" in found.over()


def test_a_shadow_that_fails_is_found() -> None:
    found = Disagreement(replace(ShadowLimits(), failures=0.01))
    for _ in range(20):
        found.add(Compared(None, False, 0.0, failed=True))
    assert "failures 1 is above 0.01" in found.breach()
