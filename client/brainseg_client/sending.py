"""How a client asks: the session and its key, patience with a busy server, and the way by a job."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TypeVar

import requests

from brainseg_client.errors import AccessError, BrainSegError, BusyError, NotFoundError, UnreachableError
from brainseg_client.files import check_size
from brainseg_client.keys import check_key
from brainseg_client.later import RemoteJob
from brainseg_client.results import Segmentation, segmentation
from brainseg_client.session import open_session
from brainseg_client.volumes import Source, read_source
from brainseg_client.wire import DEFAULT_URL, address, multipart, refusal, sendable, without_login

HEADER_PREFIX = "X-BrainSeg-"
SEGMENT_PATH, JOBS_PATH = "/api/v1/segment", "/api/v1/jobs"
CONNECT_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
T = TypeVar("T")


class Sending:
    """Of :class:`brainseg_client.api.Client`, which says what the arguments are."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        api_key: str | None = None,
        patience: float = 120.0,
        timeout: float = 900.0,
        as_jobs: bool = False,
    ) -> None:
        self.url = address(url)
        if api_key and without_login(self.url) != self.url:
            raise ValueError("got an API key and an address with a name or password in it; give one of them")
        self._headers = {"Authorization": f"Bearer {check_key(api_key, 'api_key')}"} if api_key else {}
        self._given_up = threading.Event()
        self._patience = patience
        self._timeout = timeout
        self._as_jobs = as_jobs
        self._local = threading.local()

    def job(self, identity: str) -> RemoteJob:
        """A job that was submitted before; whether there is one shows when it is asked."""

        def ask(method: str, path: str) -> requests.Response:
            return self._patiently(lambda: self._send(method, f"{JOBS_PATH}/{identity}{path}"))

        return RemoteJob(identity, ask, self._segmentation, self._given_up)

    def stop_waiting(self) -> None:
        """From now on a busy, starting or unreachable server is asked once: calls in other threads that wait for
        another try end with their error. What is being answered goes on."""
        self._given_up.set()

    def _segmentation(self, reply: requests.Response) -> Segmentation:
        return self._read(lambda: segmentation(reply.json(), reply.headers.get("X-Request-Id", "")))

    def _segment(
        self,
        scan: Source | Mapping[str, Source],
        fields: dict[str, str],
        version: str | None,
        accept: str,
        method: str = "POST",
        path: str = SEGMENT_PATH,
        model: str | None = None,
    ) -> requests.Response:
        plain = {name: sendable(name, value) for name, value in fields.items()}
        if isinstance(scan, Mapping):
            data, kind = multipart({name: read_source(one) for name, one in scan.items()}, plain)
            headers = {"Content-Type": kind}
        else:
            data = read_source(scan)
            headers = {HEADER_PREFIX + name.replace("_", "-"): value for name, value in plain.items()}
            headers["Content-Type"] = "application/octet-stream"
        check_size(len(data))
        headers["Accept"] = accept
        query = {name: value for name, value in (("model", model), ("version", version)) if value}
        if self._as_jobs and path == SEGMENT_PATH:
            return self._as_job(data, headers, query)
        return self._patiently(lambda: self._send(method, path, data, headers, query))

    def _as_job(self, data: bytes, headers: dict[str, str], query: dict[str, str]) -> requests.Response:
        """The answer by way of a job, which the same request finds again as long as it was not answered."""
        asked = json.dumps([headers, query], sort_keys=True).encode()
        job = self.job(f"asked-{hashlib.sha256(asked + data).hexdigest()[:32]}")
        self._patiently(lambda: self._send("PUT", f"{JOBS_PATH}/{job.identity}", data, headers, query))
        try:
            reply = job.reply()
        except (AccessError, BusyError, NotFoundError, UnreachableError):
            raise  # it is there still, for another try
        except BrainSegError:
            self._forget(job)
            raise
        self._forget(job)
        return reply

    @staticmethod
    def _forget(job: RemoteJob) -> None:
        with suppress(BrainSegError):  # the server forgets it by itself, later
            job.cancel()

    def _send(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
    ) -> requests.Response:
        if not hasattr(self._local, "session"):
            self._local.session = open_session()
        session: requests.Session = self._local.session
        try:
            reply = session.request(
                method,
                self.url + path,
                params=query,
                data=data,
                headers={**self._headers, **(headers or {})},
                timeout=(CONNECT_SECONDS, self._timeout),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            # Its words may hold the address with a password, so they are not shown.
            said = f"no answer from {without_login(self.url)}: {type(error).__name__}"
            raise UnreachableError("unreachable", said) from None
        if not reply.ok:
            raise refusal(reply)
        return reply

    def _patiently(self, send: Callable[[], requests.Response]) -> requests.Response:
        """Asks again while the server is busy, with pauses that double, as long as patience lasts."""
        deadline, pause = time.monotonic() + self._patience, FIRST_PAUSE
        while True:
            try:
                return send()
            except (BusyError, UnreachableError) as error:
                # Spread by chance, so that clients sent away together do not come back together.
                wait = max(error.retry_after or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311
                if time.monotonic() + wait > deadline or self._given_up.wait(wait):
                    raise
                pause = min(2 * pause, LONGEST_PAUSE)

    @staticmethod
    def _read(read: Callable[[], T]) -> T:
        try:
            return read()
        except (ValueError, KeyError, TypeError) as error:
            raise UnreachableError(
                "unreachable", f"the answer is not the contract's: {type(error).__name__}"
            ) from error
