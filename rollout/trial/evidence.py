"""Evidence that grows with each request and may be looked at after each: tests by betting.

Nobody knows beforehand how many requests a trial will see, and it must stop as soon as it can. So the tests are
sequential: a gambler bets on the version on trial being worse, at odds that are fair (or worse) if it is not. By
Ville's inequality the chance that the gambler's capital ever reaches 1 / alpha is at most alpha then, however often one
looks (Ville 1939; I. Waudby-Smith and A. Ramdas, Estimating means of bounded random variables by betting, JRSS B 86,
2024; S. Shekhar and A. Ramdas, Nonparametric two-sample testing by betting, IEEE Trans. Inf. Theory 70, 2024). Nothing
is assumed of the distributions, and neither of the requests being alike over time: only that at any time it is chance
which of them go to which version. No library: confseq is C++ to be compiled, and calls itself not stable."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Sequence

# Shares of the capital that are bet; which is best depends on how much worse the version is. A seventh of the capital
# goes with each, which costs a factor of seven at most.
STAKES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.95)
RECENT = 500  # values of the live version that a judge looks at
FEWEST = 20  # below, it does not judge yet


def mean_of_capitals(logs: Sequence[float]) -> float:
    """The logarithm of the mean of ``exp(logs)``: of several gamblers who share one capital."""
    most = max(logs)
    return most + math.log(sum(math.exp(one - most) for one in logs) / len(logs))


class Bet:
    """That the mean of values, each within ``low``..1, is above ``margin`` (above ``low``, at most 1). What is bet has
    the value prod(1 + stake (d - margin) / (margin - low)), which is never negative and has mean 1 at most while the
    mean of d, given what was before, is at most ``margin``."""

    def __init__(self, margin: float, low: float = -1.0) -> None:
        self._margin, self._low = margin, low
        self._logs = [0.0] * len(STAKES)
        self.log_capital = 0.0

    def add(self, difference: float) -> None:
        part = (difference - self._margin) / (self._margin - self._low)
        self._logs = [log + math.log1p(stake * part) for log, stake in zip(self._logs, STAKES, strict=True)]
        self.log_capital = mean_of_capitals(self._logs)


class Judge:
    """How a value counts, 0..1; it may look at the live version's earlier values and at no other. This one: as it
    is."""

    def learn(self, live: float) -> None:
        """A value of the live version, after it has been judged."""

    def ready(self) -> bool:
        return True

    def __call__(self, value: float) -> float:
        return value


class Rank(Judge):
    """The share of the live version's latest values that are below (half of those that are equal)."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=RECENT)
        self._sorted: list[float] = []

    def learn(self, live: float) -> None:
        if len(self._values) == RECENT:
            del self._sorted[bisect_left(self._sorted, self._values[0])]
        self._values.append(live)
        self._sorted.insert(bisect_left(self._sorted, live), live)

    def ready(self) -> bool:
        return len(self._values) >= FEWEST

    def __call__(self, value: float) -> float:
        return (bisect_left(self._sorted, value) + bisect_right(self._sorted, value)) / 2 / len(self._sorted)

    def quantile(self, share: float) -> float:
        return self._sorted[min(int(share * len(self._sorted)), len(self._sorted) - 1)]


class Beyond(Rank):
    """1 for a value above the 95th percentile of the live version's latest ones, else 0."""

    def __call__(self, value: float) -> float:
        return float(value > self.quantile(0.95))


class Comparison:
    """One figure of two versions. ``margin``: by how much the mean of what ``judges`` say may differ; ``both``: whether
    a smaller value is a breach too, as of a share of verdicts; ``scale``: the candidate's values are divided by it
    before. Values come in blocks, as few as have some of both: their means are compared."""

    def __init__(self, margin: float, judges: Sequence[Judge], both: bool = False, scale: float = 1.0) -> None:
        self._judges = judges
        self._bets = [[Bet(margin) for _ in range(1 + both)] for _ in judges]
        self._scale = scale
        self._candidate: list[float] = []
        self._live: list[float] = []
        self.log_capital = 0.0

    def add(self, candidate: bool, value: float) -> None:
        (self._candidate if candidate else self._live).append(value / self._scale if candidate else value)
        if not self._candidate or not self._live:
            return
        for judge, bets in zip(self._judges, self._bets, strict=True):
            if judge.ready():
                difference = _mean(judge, self._candidate) - _mean(judge, self._live)
                for bet, sign in zip(bets, (1, -1), strict=False):
                    bet.add(sign * difference)
            for value in self._live:
                judge.learn(value)
        self._candidate, self._live = [], []
        self.log_capital = mean_of_capitals([bet.log_capital for bets in self._bets for bet in bets])


def _mean(judge: Judge, values: Sequence[float]) -> float:
    return sum(map(judge, values)) / len(values)
