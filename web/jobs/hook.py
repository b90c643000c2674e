"""The end of a job told to a URL of the client's: only where the server allows it, signed, without redirects.

Signed as https://www.standardwebhooks.com says, so that its libraries check it: ``webhook-signature`` is ``v1,`` and
the HMAC-SHA256, in base64, over ``<webhook-id>.<webhook-timestamp>.<body>``."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import logging
import os
import secrets
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import requests
from requests.adapters import HTTPAdapter

from exchange.session import is_loopback, open_session
from web.contract.fields import RefusedError

logger = logging.getLogger(__name__)
SECONDS = 10.0  # to connect, and between two bytes of the answer
# After how many seconds the next try comes; over, once there are no more.
PAUSES = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
SECRET_PREFIX, SECRET_BYTES = "whsec_", 32


class NotAllowedError(Exception):
    """The webhook may not be sent; the message says why."""


class _Pinned(HTTPAdapter):
    """Connects to an address, and expects the certificate of the name that it was found by."""

    def __init__(self, host: str) -> None:
        self._host = host
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, server_hostname=self._host, assert_hostname=self._host)


def read_secret(path: Path) -> bytes:
    """The key that signs, made where there is none; the file holds it as ``whsec_`` and base64, as receivers take it.
    Raises ``OSError`` or ``ValueError``."""
    if not path.exists():
        text = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        # Under another name first: half a key, as of a full disk, would be refused at every start.
        made = path.with_name(f".new-{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            made.replace(path)
        finally:
            made.unlink(missing_ok=True)
    text = path.read_text(encoding="ascii").strip()
    key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    if not text.startswith(SECRET_PREFIX) or len(key) < 24:
        raise ValueError(f"{path.name}: expected {SECRET_PREFIX} and at least 24 bytes in base64")
    return key


def signed(key: bytes, identity: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers that go with ``body``; ``seconds``: since 1970."""
    digest = hmac.new(key, f"{identity}.{seconds}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(seconds),
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


class Hook:
    """``hosts``: that may be told, exactly. Safe to use from several threads."""

    def __init__(self, hosts: tuple[str, ...], key: bytes) -> None:
        self._hosts = frozenset(host.lower().strip("[]") for host in hosts)
        self._key = key

    def check(self, url: str) -> None:
        """Raises ``invalid_parameter`` for a URL that nothing may be sent to."""
        try:
            self._target(url)
        except NotAllowedError as error:
            raise RefusedError("invalid_parameter", f"Field webhook: {error}") from None

    def send(self, url: str, identity: str, body: bytes) -> bool:
        """Whether it was taken: answered with a status of 2xx. ``identity``: the same for every try."""
        try:
            split = self._target(url)
            addresses = self._addresses(split.hostname or "", split.port)
        except NotAllowedError as error:
            logger.warning("webhook not sent: %s", error)
            return False
        headers = signed(self._key, identity, int(time.time()), body) | {"Content-Type": "application/json"}
        for address in addresses:
            try:
                status = _post(split, address, headers, body)
            except (requests.RequestException, OSError) as error:
                logger.warning("webhook not delivered: %s", type(error).__name__)
            else:
                logger.info("webhook answered %d", status)
                return 200 <= status < 300
        return False

    def _target(self, url: str) -> SplitResult:
        try:
            split = urlsplit(url)
            host, _ = (split.hostname or "").lower(), split.port
        except ValueError:
            host = ""
        if not host or split.scheme not in ("http", "https") or split.username is not None or split.fragment:
            raise NotAllowedError("expected https://HOST/PATH, without a login and without a fragment.")
        if host not in self._hosts:
            raise NotAllowedError("its host is not one that this server tells (serve --webhook-host HOST allows one).")
        if split.scheme != "https" and not is_loopback(url):
            raise NotAllowedError("expected https; http is for this machine only.")
        return split

    def _addresses(self, host: str, port: int | None) -> list[str]:
        """Where ``host`` is. What lies within must be allowed itself: whoever answers for a name must not lead us to
        what only this machine can reach."""
        try:
            items = socket.getaddrinfo(host, port or 443, type=socket.SOCK_STREAM)
        except OSError:
            raise NotAllowedError("its host is not known.") from None
        found = [str(item[4][0]).split("%")[0] for item in items]
        local = is_loopback(f"//{host}")
        for address in found:
            number = ipaddress.ip_address(address)
            outside = number.is_global and not number.is_multicast
            if not outside and address not in self._hosts and not (local and number.is_loopback):
                raise NotAllowedError("its host has an address within (serve --webhook-host ADDRESS allows it).")
        return found


def _post(split: SplitResult, address: str, headers: dict[str, str], body: bytes) -> int:
    """The status of the answer, of which nothing else is read."""
    host, port = split.hostname or "", f":{split.port}" if split.port else ""
    numeric, named = (f"[{one}]" if ":" in one else one for one in (address, host))
    url = f"{split.scheme}://{numeric}{port}{split.path or '/'}{f'?{split.query}' if split.query else ''}"
    with open_session() as session:
        session.mount("https://", _Pinned(host))
        reply = session.post(
            url,
            data=body,
            headers={**headers, "Host": named + port},
            timeout=SECONDS,
            allow_redirects=False,
            stream=True,
        )
        with reply:
            return reply.status_code
