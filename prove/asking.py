"""Requests of the proofs: past any proxy on loopback, as all of ours (:mod:`exchange.session`)."""

from __future__ import annotations

import threading
from typing import Any

import requests

from exchange.session import open_session

_kept = threading.local()


def session() -> requests.Session:
    """One a thread, which keeps its connection."""
    if not hasattr(_kept, "session"):
        _kept.session = open_session()
    found: requests.Session = _kept.session
    return found


def ask(method: str, url: str, **given: Any) -> requests.Response:
    """Over a connection of its own: one that was kept may be to a process that is gone. ``given``: as of ``requests``,
    ``timeout`` among it."""
    with open_session() as opened:
        return opened.request(method, url, **given)


def post(url: str, **given: Any) -> requests.Response:
    """As :func:`ask`."""
    return ask("POST", url, **given)


def get(url: str, **given: Any) -> requests.Response:
    """As :func:`ask`."""
    return ask("GET", url, **given)
