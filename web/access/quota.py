"""How often a client may ask: a bucket of tokens each, filled at a steady rate."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from web.contract.fields import RefusedError

MOST_CLIENTS = 4096
BURST_SECONDS = 10.0  # so long may the rate be exceeded after a pause


class Quota:
    """``per_minute``: 0 for no limit. ``clock``: seconds, monotonic. Safe to use from several threads."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60
        self._most = max(1.0, self._rate * BURST_SECONDS)
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # client -> tokens, as of when

    def spend(self, client: str) -> None:
        """Counts one request of ``client``. Raises ``rate_limited``, with the seconds until the next is taken."""
        if not self._rate:
            return
        with self._lock:
            now = self._clock()
            tokens, since = self._buckets.pop(client, (self._most, now))
            tokens = min(self._most, tokens + (now - since) * self._rate)
            allowed = tokens >= 1
            self._buckets[client] = (tokens - allowed, now)
            while len(self._buckets) > MOST_CLIENTS:
                self._buckets.popitem(last=False)
        if not allowed:
            wait = math.ceil((1 - tokens) / self._rate)
            raise RefusedError("rate_limited", f"Over {60 * self._rate:.0f} requests a minute; wait {wait} s.", wait)
