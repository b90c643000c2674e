"""One connection: waitress' channel, with clocks on what it sends and on what it reads."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel

from web.contract.fields import RefusedError
from web.edge.pace import Pace
from web.edge.parser import Parser

if TYPE_CHECKING:
    from web.edge.edge import Edge


SEND_BYTES = 2**19


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """Made by a listener that has an ``edge``. ``narrow``: it came when all places were taken, so that it is answered
    about health and nothing else."""

    request: Parser | None
    requests: list[Parser]
    total_outbufs_len: int
    will_close: bool
    close_when_flushed: bool

    def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Any, map: Any = None) -> None:
        self.edge: Edge = server.edge
        self.address = str(addr[0])
        self.narrow = False
        self.idle_since = time.monotonic()
        self.unread_since: float | None = None
        self._sent = 0
        self._pace = Pace(self.edge.bounds.rate_bytes, self.edge.bounds.rate_seconds)
        # The system's own guess grows to megabytes a connection, which would be more answers that nobody counts.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        super().__init__(server, sock, addr, adj, map)
        self.edge.crowd.enter(self)

    def parser_class(self, adj: object) -> Parser:
        """Called by waitress as if it were the class."""
        return Parser(adj, self)

    @property
    def idle(self) -> bool:
        """Nothing of it is in work: no request has come beyond its headers, no answer waits to be read."""
        reading = self.request is not None and self.request.headers_finished and not self.request.error
        return not (reading or self.requests or self.total_outbufs_len)

    @property
    def in_work(self) -> bool:
        """A request is on its way in or out."""
        return bool(self.requests or self.request or self.total_outbufs_len)

    def received(self, data: bytes) -> bool:
        self.idle_since = time.monotonic()
        return bool(super().received(data))

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent = int(super().send(data, do_close) or 0)
        self._sent += sent
        return sent

    def write_soon(self, data: Any) -> int:
        if self.unread_since is None:
            self.unread_since = time.monotonic()
        self.edge.crowd.make_room(len(data), self)
        return int(super().write_soon(data))

    def look(self, now: float) -> None:
        """Ends what takes too long. Called about twice a second, in the loop's thread."""
        if self.will_close:
            self.handle_close()  # waitress would wait until the client reads
            return
        if self.total_outbufs_len:
            if self._pace.slow(self._sent, now):
                self.edge.cut_reader(self, "slow")
        else:
            self._pace.rest()
            self.unread_since = None
        request = self.request
        if request is not None:
            late = request.late(now, owed=not self.requests and not self.total_outbufs_len)
            if late:
                self.end_request(late)
        elif self.idle and now - self.idle_since > self._patience():
            self.will_close = True

    def _patience(self) -> float:
        bounds = self.edge.bounds
        return bounds.header_seconds if self.narrow or not self._sent else bounds.idle_seconds

    def last_of_it(self) -> None:
        """What is under way is answered, nothing after it."""
        with self.requests_lock:
            for request in (*self.requests, *([self.request] if self.request else [])):
                request.headers["CONNECTION"] = "close"
        self.will_close = self.will_close or self.idle

    def end_request(self, refusal: RefusedError) -> None:
        """Answers the request that is still arriving with ``refusal``."""
        with self.requests_lock:
            request = self.request
            if request is None or self.will_close or self.close_when_flushed:
                return
            request.cut_off(refusal)
            self.sent_continue = False
            self.request = None
            self.requests.append(request)
            if len(self.requests) == 1:
                self.server.add_task(self)

    def handle_close(self) -> None:
        super().handle_close()
        if self.request is not None:
            self.request.close()
            self.request = None

    def del_channel(self, map: Any = None) -> None:
        super().del_channel(map)
        self.edge.crowd.leave(self)
