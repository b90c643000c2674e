"""A trial outlives its server: who watches waits until it serves again, and brings the version on trial back beside the
live one. What is known of the two so far is kept, and the front door follows ``trial.json`` as before."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from rollout.errors import NoServerError, RolloutError, StoppedError
from rollout.promote import load_again
from rollout.site import Site
from rollout.state import Deployed

RETURN_SECONDS = 900.0  # a restart takes a minute; an update of the machine some
POLL_SECONDS = 0.5
RENEW_SECONDS = 5.0


def await_return(site: Site, subject: Deployed, live: str, gone: NoServerError) -> None:
    """Returns when ``live`` answers again and ``subject`` is loaded beside it. Raises ``gone`` when the server stays
    away for :data:`RETURN_SECONDS`, and as :func:`load_again` does where the version does not come back."""
    minutes = RETURN_SECONDS / 60
    site.say(f"the server is gone; the trial of version {subject.version} waits for it, at most {minutes:g} min")
    deadline = time.monotonic() + RETURN_SECONDS
    while not _serves(site, live):
        if time.monotonic() > deadline:
            raise gone
        site.renew()
        time.sleep(POLL_SECONDS)
    site.say(f"the server is back; version {subject.version} is loaded again")
    with _renewing(site):
        load_again(site, subject)


def _serves(site: Site, live: str) -> bool:
    try:
        site.server.reopen()
        found = site.server.version(live)
        return found is not None and found.complete and site.server.default() == live
    except StoppedError:
        raise
    except (RolloutError, requests.RequestException):  # nobody yet, or one that has not loaded everything
        return False


@contextmanager
def _renewing(site: Site) -> Iterator[None]:
    """Keeps the lease meanwhile: a start takes longer than one lasts."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(RENEW_SECONDS):
            site.renew()

    site.renew()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
