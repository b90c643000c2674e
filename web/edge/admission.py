"""Is a body wanted, and is there room? Asked before it is taken in, and again while it comes.

Bytes count when they have come: what a client only declares takes nothing away from others."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from web.access.quota import Quota
from web.access.who import Access
from web.contract.fields import RefusedError
from web.settings import Bounds

AGAIN_SECONDS = 5


@dataclass(eq=False)
class Upload:
    """A body on its way or held. ``client``: as :meth:`web.access.who.Access.client` names it."""

    client: str
    held: int = 0
    ended: bool = False


def too_large(limit: int) -> RefusedError:
    """For a body over ``limit`` bytes."""
    return RefusedError("too_large", f"The body has more than {limit} bytes. Send fewer slices a request.")


class Admission:
    """Safe to use from several threads."""

    def __init__(self, bounds: Bounds, access: Access, quota: Quota) -> None:
        self.bounds = bounds
        self._access = access
        self._quota = quota
        self._lock = threading.Lock()
        self._bytes: Counter[str] = Counter()
        self._uploads: Counter[str] = Counter()
        self.held_bytes = 0

    def begin(self, size: int | None, headers: Mapping[str, str], address: str) -> Upload:
        """A body of ``size`` bytes (None: not known yet) is about to come. ``headers``: names in lower case.

        Raises ``unauthorized``, ``rate_limited``, ``too_large``, or ``queue_full`` where it does not fit beside what
        has come."""
        client = self._access.client(headers, address)
        if (size or 0) > self.bounds.request_bytes:
            raise too_large(self.bounds.request_bytes)
        self._quota.spend(client)
        upload = Upload(client)
        with self._lock:
            self._fits(client, size or 0)
            if self._uploads.total() >= self.bounds.uploads:
                raise RefusedError("queue_full", "Too many uploads at a time; try again.", AGAIN_SECONDS)
            share = max(1, int(self.bounds.client_share * self.bounds.uploads))
            if self._uploads[client] >= share:
                raise RefusedError("rate_limited", f"At most {share} uploads of one client at a time.", AGAIN_SECONDS)
            self._uploads[client] += 1
        return upload

    def grow(self, upload: Upload, size: int) -> None:
        """``size`` more bytes have come. Raises ``queue_full`` or ``rate_limited``."""
        with self._lock:
            if upload.ended:
                return
            self._fits(upload.client, size)
            upload.held += size
            self._bytes[upload.client] += size
            self.held_bytes += size

    @contextmanager
    def more(self, client: str) -> Iterator[Callable[[int], None]]:
        """Counts what is made of a body that has come, as when it is unpacked: what it gives is called with the bytes
        of each piece, and raises as :meth:`grow` does. All of it is given back at the end."""
        upload = Upload(client)
        with self._lock:
            self._uploads[client] += 1
        try:
            yield lambda size: self.grow(upload, size)
        finally:
            self.end(upload)

    def end(self, upload: Upload) -> None:
        """The body is forgotten. A second time changes nothing."""
        with self._lock:
            if upload.ended:
                return
            upload.ended = True
            self._bytes[upload.client] -= upload.held
            self._uploads[upload.client] -= 1
            self.held_bytes -= upload.held
            for counter in (self._bytes, self._uploads):
                if not counter[upload.client]:
                    del counter[upload.client]

    def _fits(self, client: str, size: int) -> None:
        """Lock held."""
        most = self.bounds.buffered_bytes
        if self.held_bytes + size > most:
            raise RefusedError("queue_full", "Too many uploads at a time; try again.", AGAIN_SECONDS)
        share = int(self.bounds.client_share * most)
        if self._bytes[client] + size > share:
            raise RefusedError(
                "rate_limited", f"At most {share} bytes of one client are held at a time.", AGAIN_SECONDS
            )
