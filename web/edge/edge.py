"""What every connection works with: bounds, admission, the others."""

from __future__ import annotations

import time
from collections.abc import Callable

from web.access.origins import Origins
from web.contract.fields import RefusedError
from web.edge.admission import Admission
from web.edge.channel import Channel
from web.edge.crowd import Crowd
from web.health.metrics import Metrics
from web.log import log_request, logger
from web.settings import Bounds

LOOK_EVERY = 0.5
SAY_EVERY = 10.0  # seconds between two lines about connections that had to go: there may be thousands


class Edge:
    """``ending``: no request is taken any more but those under way. ``wake`` makes the loop look at once; its listener
    sets it."""

    wake: Callable[[], None]

    def __init__(self, bounds: Bounds, admission: Admission, metrics: Metrics, origins: Origins) -> None:
        self.bounds = bounds
        self.admission = admission
        self.crowd = Crowd(bounds, self.cut_reader, self._evicted)
        self.ending = False
        self._metrics = metrics
        self._origins = origins
        self._said = -SAY_EVERY
        self._next_look = 0.0
        metrics.gauge("brainseg_front_held_bytes", "Bytes of bodies held", lambda: admission.held_bytes)
        metrics.gauge("brainseg_front_unread_bytes", "Bytes of answers not read yet", lambda: self.crowd.unread_bytes)
        metrics.gauge("brainseg_front_connections", "Open connections", lambda: len(list(self.crowd)))

    def look(self) -> None:
        """Called at every turn of the loop; ends, about twice a second, what takes too long."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_EVERY
        for channel in self.crowd:
            channel.look(now)

    def end_uploads(self, refusal: RefusedError) -> None:
        """Answers ``refusal`` to whatever is still arriving, and closes what is idle."""
        for channel in self.crowd:
            channel.end_request(refusal)

    def end(self) -> None:
        """From now on each connection ends with its answer; those on which nothing is under way end at once."""
        self.ending = True
        for channel in self.crowd:
            channel.last_of_it()

    def in_work(self) -> int:
        """Connections with a request on its way in or out."""
        return sum(channel.in_work for channel in self.crowd)

    def cross_origin(self, origin: str) -> dict[str, str]:
        """The headers by which a browser lets the page at ``origin`` read an answer."""
        return self._origins.headers(origin)

    def refused(self, refusal: RefusedError, identity: str, seconds: float, size: int) -> None:
        """Counts and logs a refusal that the application never sees."""
        self._metrics.count_request("door", refusal.code)
        log_request("door", identity, refusal.status, refusal.code, seconds, size)

    def cut_reader(self, channel: Channel, why: str) -> None:
        """Ends the connection of a client that does not read its answer."""
        unread = channel.total_outbufs_len
        channel.will_close = True
        self._soon()
        self._metrics.count_closed("unread")
        logger.warning("an answer was not read (%s): %d bytes left, the connection is closed", why, unread)

    def _soon(self) -> None:
        """What is to be closed is closed at the next turn of the loop."""
        self._next_look = 0.0
        self.wake()

    def _evicted(self) -> None:
        self._soon()
        self._metrics.count_closed("crowded")
        if time.monotonic() - self._said > SAY_EVERY:
            self._said = time.monotonic()
            logger.warning("too many connections: those that were idle longest are closed")
