"""TorchServe's tokens: read from its key file, read again when they change, renewed before they run out.

TorchServe makes new ones at every start, forgets them after ``token_expiration_min``, and renews them when the API key
asks for it; whoever holds old ones is locked out. All of that happens behind :meth:`Tokens.bearer` and
:meth:`Tokens.refused`. No key is ever logged or put in a message."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

from web.way.wire import TooLateError, UnreachableError, exchange

logger = logging.getLogger(__name__)
Kind = Literal["inference", "management"]
RENEW_BEFORE = timedelta(minutes=2)


@dataclass(frozen=True)
class Token:
    """``expires``: None where the file does not say when."""

    key: str
    expires: datetime | None = None


def _time(text: object) -> datetime | None:
    """TorchServe writes an ISO date in UTC with nanoseconds, such as 2026-01-31T12:00:00.123456789Z."""
    try:
        when = datetime.fromisoformat(str(text).split(".")[0].removesuffix("Z"))
    except ValueError:
        return None
    return when.replace(tzinfo=UTC)


def read_tokens(path: Path) -> dict[str, Token]:
    """Kind -> token. Raises ``OSError`` or ``ValueError`` for a file that is missing or no key file."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(raw, dict):
        raise ValueError("the key file holds no JSON object")
    return {
        str(kind).lower(): Token(str(entry["key"]), _time(entry.get("expiration time")))
        for kind, entry in raw.items()
        if isinstance(entry, dict) and "key" in entry
    }


class Tokens:
    """Safe to use from several threads. ``path``: None when TorchServe runs without tokens."""

    def __init__(self, path: Path | None, management_url: str) -> None:
        self._path = path
        self._management_url = management_url.rstrip("/")
        self._lock = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._stamp: tuple[int, int] | None = None

    def bearer(self, kind: Kind) -> dict[str, str]:
        """The Authorization header for a request of ``kind``; empty when there is no token to show."""
        if self._path is None:
            return {}
        with self._lock:
            self._reread()
            token = self._tokens.get(kind)
            if token and token.expires and token.expires - datetime.now(UTC) < RENEW_BEFORE:
                token = self._renew(kind)
        return {"Authorization": f"Bearer {token.key}"} if token else {}

    def ends(self) -> dict[str, float]:
        """When the token of each kind that was last read runs out, in seconds since 1970; 0: not, or nobody knows.
        Never waits."""
        known = self._tokens
        found = {kind: known[kind].expires if kind in known else None for kind in get_args(Kind)}
        return {kind: when.timestamp() if when else 0.0 for kind, when in found.items()}

    def refused(self, kind: Kind, header: dict[str, str]) -> bool:
        """TorchServe refused ``header``: gets a better one. Returns whether another try is worth it."""
        if self._path is None:
            return False
        with self._lock:
            self._stamp = None
            self._reread()
            token = self._tokens.get(kind)
            if token and header.get("Authorization") != f"Bearer {token.key}":
                return True  # the file had a newer one already
            renewed = self._renew(kind)
            return renewed is not None and renewed != token

    def _reread(self) -> None:
        if self._path is None:
            return
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp != self._stamp:
                self._tokens, self._stamp = read_tokens(self._path), stamp
        except (OSError, ValueError, KeyError) as error:
            # While TorchServe starts it is not there yet, or half written: what we have stays good until it is.
            logger.info("key file not readable: %s", type(error).__name__)

    def _renew(self, kind: Kind) -> Token | None:
        """Has TorchServe make a new token of ``kind`` and reads it; the old one when that fails."""
        old, master = self._tokens.get(kind), self._tokens.get("api")
        if master is None:
            return old
        try:
            headers = {"Authorization": f"Bearer {master.key}"}
            reply = exchange("GET", f"{self._management_url}/token?type={kind}", headers)
            logger.info("token for %s renewed: status %d", kind, reply.status)
        except (UnreachableError, TooLateError):
            return old
        self._stamp = None
        self._reread()
        return self._tokens.get(kind)
