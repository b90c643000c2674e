"""One request as it arrives: waitress' parser, with the checks of :mod:`web.edge.admission` between the headers and the
body, and clocks on both.

waitress holds a whole body before the application sees the request. Without this module anyone could make it hold
gigabytes; with waitress' own bounds it would put bodies on disk, where scans must never be."""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import TYPE_CHECKING

from waitress.buffers import OverflowableBuffer
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver, FixedStreamReceiver

from web.contract.fields import HEADER_PREFIX, HEALTH_PATHS, RefusedError, takes_scan
from web.contract.headers import NEVER_STORED, REQUEST_ID, SECURITY, request_id
from web.edge.admission import Upload, too_large
from web.edge.pace import Pace
from web.open_inference.errors import written

if TYPE_CHECKING:
    from web.edge.channel import Channel

# A client that is refused mid-upload sees the answer only when the rest of its body is read; up to so much is.
DRAINED_BYTES = 1 << 30
# A line of the headers up to its colon; one that begins with a space goes on with the line before and has no name.
_FIELD_NAME = re.compile(rb"(?<=\r\n)" + re.escape(HEADER_PREFIX.encode()) + rb"[^:\r\n]*(?=:)", re.IGNORECASE)


class Refused:
    """A refusal in the form in which waitress writes its own errors. ``also``: headers beside the contract's."""

    def __init__(self, refusal: RefusedError, path: str, identity: str, also: dict[str, str]) -> None:
        self.refusal = refusal
        headers, self._body = written(refusal, path, identity)
        self._headers = {**headers, **SECURITY, **NEVER_STORED, REQUEST_ID: identity, **also}

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        return (
            f"{self.refusal.status} {self.refusal.title}",
            list(self._headers.items()),
            self._body,
        )


class _Nowhere(OverflowableBuffer):  # type: ignore[misc]  # waitress has no types
    """A buffer that keeps nothing."""

    def append(self, s: bytes) -> None:
        return


def _hyphened(header_plus: bytes) -> bytes:
    """The headers with ``-`` for ``_`` in the names of fields: ``X-BrainSeg-min_lesion_pixels``. waitress drops such a
    header without a word, and rightly where a proxy may have set its twin with ``-``; no proxy sets a field."""
    return _FIELD_NAME.sub(lambda name: name[0].replace(b"_", b"-"), header_plus)


def _doubled_field(header_plus: bytes) -> bool:
    """Whether a field's header comes twice, which waitress would join to one."""
    return any(count > 1 for count in Counter(map(bytes.lower, _FIELD_NAME.findall(header_plus))).values())


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """``channel``: the connection that it belongs to."""

    # waitress' own, which it declares without types.
    body_rcv: FixedStreamReceiver | ChunkedReceiver | None
    expect_continue: bool
    headers_finished: bool
    completed: bool
    body_bytes_received: int
    error: object
    headers: dict[str, str]
    path = ""

    def __init__(self, adj: object, channel: Channel) -> None:
        super().__init__(adj)
        self._channel = channel
        self._edge = channel.edge
        bounds = channel.edge.bounds
        self._pace = Pace(bounds.rate_bytes, bounds.rate_seconds)
        self._began = self._body_began = time.monotonic()
        self._upload: Upload | None = None

    @property
    def for_health(self) -> bool:
        """Whether a probe asks, which is answered whatever else waits."""
        return self.path in HEALTH_PATHS

    def plain_headers(self) -> dict[str, str]:
        """Names in lower case with hyphens."""
        return {name.lower().replace("_", "-"): value for name, value in self.headers.items()}

    def parse_header(self, header_plus: bytes) -> None:
        header_plus = _hyphened(header_plus)
        super().parse_header(header_plus)
        self._body_began = time.monotonic()
        self.path = "/" + self.path.lstrip("/")  # as waitress and Flask will have it
        if self._edge.ending:
            self.headers["CONNECTION"] = "close"
        try:
            if self._channel.narrow and not self.for_health:
                raise RefusedError("queue_full", "Too many connections at a time; try again.", 5)
            if not takes_scan(str(self.command), self.path):
                self._keep_nothing()
                return
            if _doubled_field(header_plus):
                raise RefusedError("invalid_parameter", "A field's header comes twice; send it once.")
            size = None if self.chunked else self.content_length
            self._upload = self._edge.admission.begin(size, self.plain_headers(), self._channel.address)
        except RefusedError as refusal:
            self.refuse(refusal)

    def received(self, data: bytes) -> int:
        before = self.body_bytes_received
        consumed = int(super().received(data))
        if self.error and not isinstance(self.error, Refused):
            # waitress' own words may quote a header, and a header may be a key.
            self.refuse(RefusedError("bad_request", "The request line, a header or the chunks cannot be read."))
        elif self.error:
            self.completed = self.completed or self.body_bytes_received > DRAINED_BYTES
        elif self._upload is not None and self.body_bytes_received > before:
            self._count(self._upload, self.body_bytes_received - before)
        return consumed

    def _count(self, upload: Upload, size: int) -> None:
        bounds = self._edge.bounds
        try:
            if self.body_bytes_received > bounds.request_bytes and not self.completed:
                raise too_large(bounds.request_bytes)
            self._edge.admission.grow(upload, size)
        except RefusedError as refusal:
            self.refuse(refusal)

    def late(self, now: float, owed: bool) -> RefusedError | None:
        """What is wrong with the time this request takes to arrive; None: nothing. ``owed``: whether the client could
        send just now; it cannot while the answer to its request before is on the way."""
        bounds = self._edge.bounds
        if not self.headers_finished:
            if now - self._began > bounds.header_seconds:
                return RefusedError("request_timeout", f"The headers took over {bounds.header_seconds:g} s.")
            return None
        if not owed:
            self._pace.rest()
            return None
        if now - self._body_began > bounds.upload_seconds:
            return RefusedError("request_timeout", f"The body took over {bounds.upload_seconds:g} s.")
        if self._pace.slow(self.body_bytes_received, now):
            least = f"{bounds.rate_bytes:g} bytes a second"
            return RefusedError("request_timeout", f"The body came slower than {least} for {bounds.rate_seconds:g} s.")
        return None

    def cut_off(self, refusal: RefusedError) -> None:
        """Ends the request as it stands, to be answered with ``refusal``, or with the one that it has already."""
        if not self.headers_finished:
            HTTPRequestParser.parse_header(self, b"GET / HTTP/1.0\r\n")  # as waitress does for headers it gives up
            self.headers_finished = True
        if not self.error:
            self.refuse(refusal)
        self.completed = True

    def refuse(self, refusal: RefusedError) -> None:
        """Answers with ``refusal``: at once where the client waits to be told to go on, else after its body."""
        identity = request_id(self.headers.get("X_REQUEST_ID"))
        self.error = Refused(refusal, self.path, identity, self._edge.cross_origin(self.headers.get("ORIGIN", "")))
        self._edge.refused(refusal, identity, time.monotonic() - self._began, self.body_bytes_received)
        if self.expect_continue:
            self.expect_continue, self.body_rcv = False, None
        else:
            self._keep_nothing()
        self._give_back()

    def _keep_nothing(self) -> None:
        if isinstance(self.body_rcv, FixedStreamReceiver | ChunkedReceiver):
            self.body_rcv.buf.close()
            self.body_rcv.buf = _Nowhere(1)

    def _give_back(self) -> None:
        if self._upload is not None:
            self._edge.admission.end(self._upload)

    def close(self) -> None:
        super().close()
        self._give_back()
