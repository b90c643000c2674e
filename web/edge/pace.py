"""Whether bytes move, or a connection only holds its place."""

from __future__ import annotations


class Pace:
    """At least ``rate`` bytes a second over every ``seconds``. Times are :func:`time.monotonic`'s."""

    def __init__(self, rate: float, seconds: float) -> None:
        self._least = rate * seconds
        self._seconds = seconds
        self._since: float | None = None
        self._mark = 0

    def rest(self) -> None:
        """Nothing is owed just now; the count begins anew."""
        self._since = None

    def slow(self, total: int, now: float) -> bool:
        """``total``: bytes moved so far. Whether those of the span that ends now were too few."""
        if self._since is None:
            self._since, self._mark = now, total
            return False
        if now - self._since < self._seconds:
            return False
        moved, self._since, self._mark = total - self._mark, now, total
        return moved < self._least
