"""The one way in which our processes make HTTP requests: what of the environment may touch them is decided here."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies

CA_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def is_loopback(url: str) -> bool:
    """Whether ``url`` names this machine: ``localhost`` and names below it, 127.0.0.0/8 however it is written, ::1,
    and the addresses that stand for "any", which connect to it. No name is looked up."""
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        # As the resolver reads it: 127.1 and 2130706433 are addresses as well.
        address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        try:
            address = ipaddress.IPv6Address(host.partition("%")[0])
        except ValueError:
            return False
        address = address.ipv4_mapped or address
    return address.is_loopback or address.is_unspecified


class _Session(requests.Session):
    """Nothing of ``.netrc``, whose default line would replace a token; no redirects, which would carry it elsewhere;
    proxies and certificates of the environment for other machines only."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        if not is_loopback(url):
            proxies = {**get_environ_proxies(url), **(proxies or {})}
            if verify in (None, True):
                verify = next((os.environ[name] for name in CA_BUNDLES if os.environ.get(name)), verify)
        return super().merge_environment_settings(url, proxies, stream, verify, cert)

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


def open_session() -> requests.Session:
    """A session for one thread, to be closed by it. A redirect comes back as the answer that it is."""
    return _Session()
