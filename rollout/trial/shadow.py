"""Whether a shadow disagrees with the live version more than it may."""

from __future__ import annotations

import heapq
import math
from typing import Any

from exchange.outcome import Compared
from rollout.check import joined
from rollout.limits import ShadowLimits
from rollout.trial.evidence import Bet

WORST = 5


class Disagreement:
    """Give it the comparisons in their order. With chance alpha at most, over all looks (a third of alpha for each of
    the three figures), it stops a shadow that keeps ``limits``."""

    def __init__(self, limits: ShadowLimits) -> None:
        self._limits = limits
        self.compared = self.masks = self.flips = self.failures = 0
        self._dice = self._area = 0.0
        self._bets = {
            "disagreement": Bet(limits.disagreement, low=0.0),
            "other verdicts": Bet(limits.flips, low=0.0),
            "failures": Bet(limits.failures, low=0.0),
        }
        self._alpha = limits.false_alarms / len(self._bets)
        self._worst: list[tuple[float, str]] = []  # 1 - Dice and digest, the largest few

    def add(self, one: Compared) -> None:
        self.compared += 1
        self.failures += one.failed
        self._bets["failures"].add(float(one.failed))
        if one.failed:
            return
        self.flips += one.flip
        self._bets["other verdicts"].add(float(one.flip))
        self._area += abs(one.area)
        if one.dice is not None:
            self.masks += 1
            self._dice += one.dice
            self._bets["disagreement"].add(1 - one.dice)
            if one.sha256 and (1 - one.dice, one.sha256) not in self._worst:
                self._worst = heapq.nlargest(WORST, [*self._worst, (1 - one.dice, one.sha256)])

    def breach(self) -> str:
        """Which limits are broken beyond chance, in words; empty while none is."""
        return joined(
            *(
                f"{self._said(name)} over {self.compared} comparisons, chance of a false alarm {self._alpha:.2g}"
                for name, bet in self._bets.items()
                if bet.log_capital >= -math.log(self._alpha)
            )
        )

    def over(self) -> str:
        """Which limits the figures are above as they are; and whether there are too few. For a promotion, which needs
        more than that nothing is proven."""
        few = self.compared < self._limits.min_compared
        values = self._values()
        return joined(
            f"only {self.compared} comparisons, {self._limits.min_compared} are wanted" if few else "",
            *(self._said(name) for name, (value, limit) in values.items() if value > limit),
        )

    def _values(self) -> dict[str, tuple[float, float]]:
        assessed = max(1, self.compared - self.failures)
        return {
            "disagreement": (1 - self._dice / self.masks if self.masks else 0.0, self._limits.disagreement),
            "other verdicts": (self.flips / assessed, self._limits.flips),
            "failures": (self.failures / max(1, self.compared), self._limits.failures),
        }

    def _said(self, name: str) -> str:
        value, limit = self._values()[name]
        return f"{name} {value:.4g} is above {limit:g}"

    def figures(self) -> dict[str, Any]:
        """For the history. Dice: mean over scans in which either sees tumour; area: mean of the absolute difference, in
        percent of all pixels; ``worst``: by the digest of the input."""
        evidence = {name: round(bet.log_capital / -math.log(self._alpha), 3) for name, bet in self._bets.items()}
        assessed = self.compared - self.failures
        return {
            "shadow_compared": self.compared,
            "shadow_dice": self._dice / self.masks if self.masks else None,
            "shadow_flips": self.flips,
            "shadow_failures": self.failures,
            "shadow_area": self._area / assessed if assessed else None,
            "shadow_evidence": evidence,
            "shadow_worst": [{"sha256": digest, "dice": 1 - lost} for lost, digest in self._worst],
        }
