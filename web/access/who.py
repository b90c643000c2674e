"""Who may come in: anyone from this machine while there are no keys, else who shows one."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping
from pathlib import Path

from web.access.keys import ApiKeys
from web.access.origins import Origins
from web.contract.fields import RefusedError

BEARER = re.compile(r"Bearer +(\S{1,512})", re.IGNORECASE)
ONLY_HERE = (
    "and without API keys only this machine and its own page are served. To serve others write a line 'name key' for "
    "each client into a file and start with --api-keys FILE; a page elsewhere needs --allow-origin besides."
)
LOOPBACK_NAMES = ("localhost", "ip6-localhost", "")


class StartError(Exception):
    """The front door must not start like this; the message says why and what to do."""


def is_loopback(host: str) -> bool:
    """Whether every address of ``host`` is this machine's own. An unknown host is not."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except OSError:
        return False
    return bool(found) and all(ipaddress.ip_address(str(item[4][0]).split("%")[0]).is_loopback for item in found)


def check_start(host: str, api_keys: Path | None) -> None:
    """Raises :class:`StartError` for a host beyond loopback without keys, and for a file of keys that cannot be
    used."""
    if api_keys is None:
        if not is_loopback(host):
            raise StartError(
                f"host {host} can be reached from outside, where scans must not be open to everyone: give --api-keys "
                "FILE with a line 'name key' for each client, or listen on 127.0.0.1"
            )
        return
    try:
        ApiKeys(api_keys)
    except (OSError, ValueError) as error:
        raise StartError(f"the file given with --api-keys cannot be used: {error}") from error


def _is_own_name(host: str) -> bool:
    """Whether a Host header names loopback itself; anything else is a web page that borrows our address by DNS."""
    name = re.sub(r":\d*$", "", host).strip("[]").lower()
    if name in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Access:
    """``api_keys``: None while the front door is open."""

    def __init__(self, api_keys: Path | None, origins: Origins) -> None:
        self._keys = ApiKeys(api_keys) if api_keys else None
        self._origins = origins

    @property
    def open(self) -> bool:
        return self._keys is None

    def client(self, headers: Mapping[str, str], address: str) -> str:
        """Who asks: the name of the key, or the address while open. Raises ``unauthorized``.

        ``headers``: names in lower case; ``address``: the peer's."""
        if self._keys is None:
            return self._of_this_machine(headers, address)
        authorization = headers.get("authorization", "")
        match = BEARER.fullmatch(authorization.strip())
        name = self._keys.name_of(match[1]) if match else None
        if name is None:
            given = "is not known" if authorization else "is missing"
            raise RefusedError("unauthorized", f"The API key {given}; send 'Authorization: Bearer KEY'.")
        return f"key {name}"

    def _of_this_machine(self, headers: Mapping[str, str], address: str) -> str:
        if not _is_own_name(headers.get("host", "")):
            raise RefusedError("unauthorized", f"The request names a host that is not this machine, {ONLY_HERE}")
        if strange := self._origins.stranger(headers):
            raise RefusedError("unauthorized", f"The request {strange}, {ONLY_HERE}")
        return f"address {address}"
