"""At the door, before a body is taken in: is it wanted, is there room, does it arrive in time?

waitress holds a whole body before the application sees the request. Without this module anyone could make it hold
gigabytes; with waitress' own bounds it would put bodies on disk, where scans must never be."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Mapping

from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver, FixedStreamReceiver
from waitress.server import BaseWSGIServer

from web.access.who import Access
from web.contract.fields import HEADER_PREFIX, RefusedError
from web.contract.headers import NEVER_STORED, REQUEST_ID, SECURITY, request_id
from web.health.metrics import Metrics
from web.settings import Bounds

SEGMENT_PATH = "/api/v1/segment"
# A client that is refused mid-upload sees the answer only when the rest of its body is read; up to so much is.
DRAINED_BYTES = 1 << 30
# A line of the headers up to its colon; one that begins with a space goes on with the line before and has no name.
_FIELD_NAME = re.compile(rb"(?<=\r\n)" + re.escape(HEADER_PREFIX.encode()) + rb"[^:\r\n]*(?=:)", re.IGNORECASE)


class Admission:
    """Decides from the headers. Safe to use from several threads."""

    def __init__(self, bounds: Bounds, access: Access, metrics: Metrics) -> None:
        self.bounds = bounds
        self._access = access
        self._metrics = metrics
        self._lock = threading.Lock()
        self.held_bytes = 0

    def reserve(self, size: int | None, headers: Mapping[str, str]) -> int:
        """The bytes set aside for a body of ``size`` (None: not known yet). ``headers``: names in capitals with
        underscores. Raises ``unauthorized``, ``too_large`` or ``queue_full``."""
        self._access.client(headers.get("AUTHORIZATION", ""), headers.get("HOST", ""), "")
        wanted = self.bounds.request_bytes if size is None else size
        if wanted > self.bounds.request_bytes:
            raise too_large(self.bounds.request_bytes)
        with self._lock:
            if self.held_bytes + wanted > self.bounds.buffered_bytes:
                raise RefusedError("queue_full", "Too many uploads at a time; try again.", 5)
            self.held_bytes += wanted
        return wanted

    def release(self, reserved: int) -> None:
        """Gives back what :meth:`reserve` gave."""
        with self._lock:
            self.held_bytes -= reserved

    def refused(self, refusal: RefusedError) -> None:
        """Counts a refusal that the application never sees."""
        labels = {"route": "door", "code": refusal.code}
        self._metrics.count("brainseg_front_requests_total", labels)


def too_large(limit: int) -> RefusedError:
    """For a body over ``limit`` bytes."""
    return RefusedError("too_large", f"The body has more than {limit} bytes. Send fewer slices a request.")


class _Wire:
    """A refusal in the form in which waitress writes its own errors."""

    def __init__(self, refusal: RefusedError, sent_id: str | None) -> None:
        self._refusal = refusal
        self._id = request_id(sent_id)

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        headers = {**self._refusal.headers(), **SECURITY, **NEVER_STORED, REQUEST_ID: self._id}
        return f"{self._refusal.status} {self._refusal.title}", list(headers.items()), self._refusal.body()


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
    """waitress' parser with the checks of :class:`Admission` between the headers and the body."""

    admission: Admission  # set by :func:`admitting`

    # waitress' own, which it declares without types.
    body_rcv: FixedStreamReceiver | ChunkedReceiver | None
    expect_continue: bool
    error: object

    _reserved = 0
    _began = 0.0

    def parse_header(self, header_plus: bytes) -> None:
        header_plus = _hyphened(header_plus)
        super().parse_header(header_plus)
        self._began = time.monotonic()
        if "/" + self.path.lstrip("/") != SEGMENT_PATH:  # as waitress and Flask will have it
            self._keep_nothing()
            return
        try:
            if _doubled_field(header_plus):
                raise RefusedError("invalid_parameter", "A field's header comes twice; send it once.")
            if self.body_rcv is not None:
                self._reserved = self.admission.reserve(None if self.chunked else self.content_length, self.headers)
        except RefusedError as refusal:
            self._refuse(refusal)

    def received(self, data: bytes) -> int:
        consumed = int(super().received(data))
        if self.error and not isinstance(self.error, _Wire):
            # waitress' own words may quote a header, and a header may be a key.
            self._refuse(RefusedError("bad_request", "The request line, a header or the chunks cannot be read."))
        elif self.body_rcv is not None and not self.completed:
            self._check_progress()
        return consumed

    def _check_progress(self) -> None:
        bounds = self.admission.bounds
        if self.error:
            self.completed = self.body_bytes_received > DRAINED_BYTES
        elif self.chunked and self.body_bytes_received > bounds.request_bytes:
            self._refuse(too_large(bounds.request_bytes))
        elif time.monotonic() - self._began > bounds.upload_seconds:
            self._refuse(RefusedError("request_timeout", f"The body took over {bounds.upload_seconds:.0f} s."))
            self.completed = True

    def _refuse(self, refusal: RefusedError) -> None:
        """Answers with ``refusal``: at once where the client waits to be told to go on, else after its body."""
        self.error = _Wire(refusal, self.headers.get("X_REQUEST_ID"))
        self.admission.refused(refusal)
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
        self.admission.release(self._reserved)
        self._reserved = 0

    def close(self) -> None:
        super().close()
        self._give_back()


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection that gives back its reservation when it breaks in the middle of a body."""

    request: Parser | None

    def handle_close(self) -> None:
        super().handle_close()
        if self.request is not None:
            self.request.close()
            self.request = None


def admitting(server: BaseWSGIServer, admission: Admission) -> None:
    """Makes ``server`` ask ``admission`` about every request."""
    parser = type("AdmittingParser", (Parser,), {"admission": admission})
    server.channel_class = type("AdmittingChannel", (Channel,), {"parser_class": parser})
