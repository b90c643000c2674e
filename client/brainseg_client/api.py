"""The Python client of the front door: typed results, typed errors, patience with a busy server.

>>> client = Client("http://127.0.0.1:8000")              # doctest: +SKIP
>>> client.segment("scan.png").tumor_coverage_percent    # doctest: +SKIP
2.618
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

from brainseg_client.errors import BrainSegError
from brainseg_client.later import RemoteJob
from brainseg_client.reasons import Explains
from brainseg_client.results import Segmentation, Version, segmentation, versions
from brainseg_client.sending import JOBS_PATH, Sending
from brainseg_client.types import Names
from brainseg_client.volumes import Source
from brainseg_client.wire import fields_of

SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Client(Sending, Explains, Names):
    """Safe to use from several threads. ``api_key``: needed where the server has keys. ``patience``: seconds for which
    a busy, starting or unreachable server is asked again before the error is raised; 0: never. ``timeout``: seconds
    the answer to one request may take. ``as_jobs``: each scan is submitted as a job and its result fetched, so that a
    connection that breaks, or a server that starts again, costs no answer; the server needs ``--jobs``. Raises
    ``ValueError`` for an address or a key that cannot be meant.

    On loopback no proxy of the environment is asked, elsewhere those that it names; ``.netrc`` is never read."""

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
        model: str | None = None,
    ) -> Segmentation:
        """``scan``: the bytes of a picture (JPEG, PNG, TIFF) or a volume (NIfTI, DICOM, a zip of a series), the
        path of such a file or of a folder of DICOM files, or volumes by sequence: ``flair``, and ``t1``, ``t1c`` where
        there are any. ``slices``: first and last slice to get pictures of; measurements cover all. ``passport``: asks
        for a signed record of how the answer was made. ``model``: one beside the segmentation, as :meth:`models` of
        its name lists it. What is None is left to the server: it draws mask and overlay of
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
        return self._segmentation(self._segment(scan, fields, version, "application/json", model=model))

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
        model: str | None = None,
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
        self._segment(scan, fields, version, "application/json", "PUT", f"{JOBS_PATH}/{name}", model)
        return self.job(name)

    def mask(
        self,
        scan: bytes | str | Path,
        *,
        version: str | None = None,
        threshold: float | None = None,
        min_lesion_pixels: int | None = None,
        tiff: bool = False,
        tta: str | None = None,
        model: str | None = None,
    ) -> bytes:
        """The mask alone, 0 or 255 (the labels' values where there are several): a PNG of a single slice, or with
        ``tiff`` a page for each slice of a stack. Raises as :meth:`segment`."""
        given = {"threshold": threshold, "min_lesion_pixels": min_lesion_pixels, "tta": tta}
        fields = fields_of(given)
        return self._segment(scan, fields, version, "image/tiff" if tiff else "image/png", model=model).content

    def nifti(
        self,
        scan: Source | Mapping[str, Source],
        *,
        version: str | None = None,
        threshold: float | None = None,
        min_lesion_pixels: int | None = None,
        series: int | None = None,
        tta: str | None = None,
        model: str | None = None,
    ) -> bytes:
        """The mask of a volume as ``.nii.gz``, on the FLAIR's own grid. ``scan`` and errors as of :meth:`segment`;
        ``series``: which one is the FLAIR, where an upload has several."""
        given = {"threshold": threshold, "min_lesion_pixels": min_lesion_pixels, "series": series, "tta": tta}
        fields = fields_of(given)
        return self._segment(scan, fields, version, "application/x-nifti", model=model).content

    def archive(
        self,
        scan: Source | Mapping[str, Source],
        *,
        version: str | None = None,
        threshold: float | None = None,
        min_lesion_pixels: int | None = None,
        series: int | None = None,
        tta: str | None = None,
        model: str | None = None,
    ) -> bytes:
        """Everything about a volume in one zip: the mask as NIfTI, of a DICOM series also the SEG and the reports, and
        the measurements as ``result.json``. ``scan`` and errors as of :meth:`segment`; ``series``: which one is the
        FLAIR, where an upload has several."""
        given = {"threshold": threshold, "min_lesion_pixels": min_lesion_pixels, "series": series, "tta": tta}
        fields = fields_of(given)
        return self._segment(scan, fields, version, "application/zip", model=model).content

    def models(self, model: str | None = None) -> tuple[Version, ...]:
        """The versions on the server, of a ``model`` beside the segmentation where one is named: none where the server
        does not have it. Raises :class:`BrainSegError`."""
        reply = self._patiently(lambda: self._send("GET", "/api/v1/models"))
        return self._read(lambda: versions(reply.json(), model))

    def replay(
        self,
        scan: Source | Mapping[str, Source],
        version: str,
        settings: Mapping[str, str],
        model: str | None = None,
    ) -> Mapping[str, Any] | None:
        """The passport of the answer to ``scan`` with the ``settings`` of another passport, as fields; no pictures are
        drawn. Raises as :meth:`segment`."""
        fields = {**settings, "outputs": "none", "passport": "on"}
        reply = self._segment(scan, fields, version, "application/json", model=model)
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
