"""The Python client of the front door: typed results, typed errors, patience with a busy server.

>>> client = Client("http://127.0.0.1:8000")              # doctest: +SKIP
>>> client.segment("scan.png").tumor_coverage_percent    # doctest: +SKIP
2.618
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import requests

from brainseg_client.errors import AccessError, BrainSegError, BusyError, NotFoundError, UnreachableError
from brainseg_client.files import check_size
from brainseg_client.keys import check_key
from brainseg_client.later import RemoteJob
from brainseg_client.reasons import Explains
from brainseg_client.results import Segmentation, Version, segmentation, versions
from brainseg_client.session import open_session
from brainseg_client.types import Names
from brainseg_client.volumes import Source, read_source
from brainseg_client.wire import DEFAULT_URL, address, fields_of, multipart, refusal, sendable, without_login

HEADER_PREFIX = "X-BrainSeg-"
SEGMENT_PATH, JOBS_PATH = "/api/v1/segment", "/api/v1/jobs"
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
CONNECT_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0
T = TypeVar("T")


class Client(Explains, Names):
    """Safe to use from several threads. ``api_key``: needed where the server has keys. ``patience``: seconds for which
    a busy, starting or unreachable server is asked again before the error is raised; 0: never. ``timeout``: seconds
    the answer to one request may take. ``as_jobs``: each scan is submitted as a job and its result fetched, so that a
    connection that breaks, or a server that starts again, costs no answer; the server needs ``--jobs``. Raises
    ``ValueError`` for an address or a key that cannot be meant.

    On loopback no proxy of the environment is asked, elsewhere those that it names; ``.netrc`` is never read."""

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

    def segment(
        self,
        scan: Source | Mapping[str, Source],
        *,
        version: str | None = None,
        threshold: float | None = None,
        min_lesion_pixels: int | None = None,
        outputs: Sequence[str] | None = None,
        slices: tuple[int, int] | None = None,
        intensity_range: tuple[float, float] | None = None,
        tta: str | None = None,
        passport: bool = False,
    ) -> Segmentation:
        """``scan``: the bytes of a picture (JPEG, PNG, TIFF) or a volume (NIfTI, DICOM, a zip of a series), the
        path of such a file or of a folder of DICOM files, or volumes by sequence: ``flair``, and ``t1``, ``t1c`` where
        there are any. ``slices``: first and last slice to get pictures of; measurements cover all. ``passport``: asks
        for a signed record of how the answer was made. What is None is left to the server: it draws mask and overlay of
        pictures, nothing of volumes. Raises :class:`BrainSegError`, for a scan larger than the contract allows before
        it is sent, ``OSError`` for a path that cannot be read, or ``ValueError`` for a folder without DICOM files."""
        given = {
            "threshold": threshold,
            "min_lesion_pixels": min_lesion_pixels,
            "outputs": None if outputs is None else tuple(outputs),
            "slices": f"{slices[0]}-{slices[1]}" if slices else None,
            "intensity_range": intensity_range,
            "tta": tta,
            "passport": "on" if passport else None,
        }
        fields = fields_of(given)
        return self._segmentation(self._segment(scan, fields, version, "application/json"))

    def submit(
        self,
        scan: Source | Mapping[str, Source],
        *,
        identity: str | None = None,
        webhook: str | None = None,
        version: str | None = None,
        threshold: float | None = None,
        min_lesion_pixels: int | None = None,
        outputs: Sequence[str] | None = None,
        tta: str | None = None,
    ) -> RemoteJob:
        """Has a scan segmented later; the server needs ``--jobs``. ``identity``: an id of one's own, by which a job
        that was submitted twice is one. ``webhook``: a URL that is told the end. All else, and errors, as
        :meth:`segment`; ``ValueError`` for an id that cannot be."""
        name = uuid4().hex if identity is None else identity
        if not SAFE_ID.fullmatch(name):
            raise ValueError(f"got the id {name!r}, expected at most 64 letters, digits, '.', '_' and '-'")
        given = {
            "threshold": threshold,
            "min_lesion_pixels": min_lesion_pixels,
            "outputs": None if outputs is None else tuple(outputs),
            "tta": tta,
            "webhook": webhook,
        }
        fields = fields_of(given)
        self._segment(scan, fields, version, "application/json", "PUT", f"{JOBS_PATH}/{name}")
        return self.job(name)

    def job(self, identity: str) -> RemoteJob:
        """A job that was submitted before; whether there is one shows when it is asked."""

        def ask(method: str, path: str) -> requests.Response:
            return self._patiently(lambda: self._send(method, f"{JOBS_PATH}/{identity}{path}"))

        return RemoteJob(identity, ask, self._segmentation, self._given_up)

    def mask(
        self,
        scan: bytes | str | Path,
        *,
        version: str | None = None,
        threshold: float | None = None,
        min_lesion_pixels: int | None = None,
        tiff: bool = False,
        tta: str | None = None,
    ) -> bytes:
        """The mask alone, 0 or 255 (the labels' values where there are several): a PNG of a single slice, or with
        ``tiff`` a page for each slice of a stack. Raises as :meth:`segment`."""
        given = {"threshold": threshold, "min_lesion_pixels": min_lesion_pixels, "tta": tta}
        fields = fields_of(given)
        return self._segment(scan, fields, version, "image/tiff" if tiff else "image/png").content

    def nifti(
        self,
        scan: Source | Mapping[str, Source],
        *,
        version: str | None = None,
        threshold: float | None = None,
        min_lesion_pixels: int | None = None,
        series: int | None = None,
        tta: str | None = None,
    ) -> bytes:
        """The mask of a volume as ``.nii.gz``, on the FLAIR's own grid. ``scan`` and errors as of :meth:`segment`;
        ``series``: which one is the FLAIR, where an upload has several."""
        given = {"threshold": threshold, "min_lesion_pixels": min_lesion_pixels, "series": series, "tta": tta}
        fields = fields_of(given)
        return self._segment(scan, fields, version, "application/x-nifti").content

    def archive(
        self,
        scan: Source | Mapping[str, Source],
        *,
        version: str | None = None,
        threshold: float | None = None,
        min_lesion_pixels: int | None = None,
        series: int | None = None,
        tta: str | None = None,
    ) -> bytes:
        """Everything about a volume in one zip: the mask as NIfTI, of a DICOM series also the SEG and the reports, and
        the measurements as ``result.json``. ``scan`` and errors as of :meth:`segment`; ``series``: which one is the
        FLAIR, where an upload has several."""
        given = {"threshold": threshold, "min_lesion_pixels": min_lesion_pixels, "series": series, "tta": tta}
        fields = fields_of(given)
        return self._segment(scan, fields, version, "application/zip").content

    def models(self) -> tuple[Version, ...]:
        """The versions on the server. Raises :class:`BrainSegError`."""
        reply = self._patiently(lambda: self._send("GET", "/api/v1/models"))
        return self._read(lambda: versions(reply.json()))

    def replay(
        self, scan: Source | Mapping[str, Source], version: str, settings: Mapping[str, str]
    ) -> Mapping[str, Any] | None:
        """The passport of the answer to ``scan`` with the ``settings`` of another passport, as fields; no pictures are
        drawn. Raises as :meth:`segment`."""
        fields = {**settings, "outputs": "none", "passport": "on"}
        reply = self._segment(scan, fields, version, "application/json")
        return self._read(lambda: segmentation(reply.json()).passport)

    def passport_keys(self) -> Mapping[str, str]:
        """The public keys by which this server's passports are checked: PEM by id. Raises :class:`BrainSegError`."""
        reply = self._patiently(lambda: self._send("GET", "/api/v1/passport-keys"))
        return self._read(lambda: {str(one["keyid"]): str(one["public_key"]) for one in reply.json()["keys"]})

    def ready(self) -> bool:
        """Whether a scan sent now would be answered; False too when there is no server."""
        try:
            return self._send("GET", "/readyz").ok
        except BrainSegError:
            return False

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
        query = {"version": version} if version else {}
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
