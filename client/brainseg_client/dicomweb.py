"""An archive that speaks DICOMweb: which studies it has, a study's MR series out of it (QIDO-RS, WADO-RS), results back
into it (STOW-RS).

DICOM PS3.18. What was stored is read from the answer's sequences, not from its status: Orthanc says 400 where good
objects beside a bad one are stored."""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests

from brainseg_client.errors import BrainSegError
from brainseg_client.session import open_session

SECONDS = 300.0
MODALITY, STUDY, SERIES, INSTANCE, INSTANCES = "00080060", "0020000D", "0020000E", "00081155", "00201208"
REFERENCED, FAILED = "00081199", "00081198"
MOST_BYTES = 2**30  # of one answer
PAGE = 100  # studies asked for at a time
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")


class ArchiveError(BrainSegError):
    """The archive does not give the study, or did not take a result. ``code`` is ``dicomweb``."""

    def __init__(self, detail: str, status: int = 0) -> None:
        super().__init__("dicomweb", detail, status)


class NoMrError(ArchiveError):
    """The study is there, and no series of it is MR."""


class LargeAnswerError(ArchiveError):
    """An answer has more bytes than are taken."""


def valid_uid(text: str) -> str:
    """``text`` if it is a UID. Raises ``ValueError``."""
    if len(text) > 64 or not _UID.fullmatch(text):
        raise ValueError(f"{text[:70]!r} is no UID: expected numbers with dots between them, at most 64 characters")
    return text


def _boundary(kind: str) -> bytes:
    found = re.search(r'boundary="?([^";,]+)"?', kind, re.IGNORECASE)
    if not kind.lower().startswith("multipart/related") or not found:
        raise ArchiveError(f"the archive answered with {kind[:60]!r}; expected multipart/related")
    return found[1].strip().encode("latin-1")


def parts_of(body: bytes, kind: str) -> Iterator[bytes]:
    """The bodies of a multipart/related answer, ``kind`` its Content-Type (RFC 2046)."""
    delimiter = b"--" + _boundary(kind)
    for part in (b"\r\n" + body).split(b"\r\n" + delimiter)[1:]:
        if part.startswith(b"--"):
            return
        _, blank, content = part.partition(b"\r\n\r\n")
        if not blank:
            raise ArchiveError("a part of the archive's answer has no end of its headers")
        yield content


def instance_uid(data: bytes) -> str:
    """Media Storage SOP Instance UID out of the file meta information of a DICOM file (PS3.10, 7.1; explicit VR, little
    endian). Raises ``ValueError`` where there is none."""
    at = 132
    if data[128:132] != b"DICM":
        raise ValueError("no DICOM file")
    while at + 8 <= len(data):
        group, element, kind, length = struct.unpack_from("<HH2sH", data, at)
        start = at + 8
        if kind in (b"OB", b"UN", b"OW", b"SQ", b"UT"):
            (length,) = struct.unpack_from("<I", data, at + 8)
            start = at + 12
        if group != 2:
            break
        if element == 3:
            return data[start : start + length].rstrip(b"\0 ").decode("ascii")
        at = start + length
    raise ValueError("a DICOM file without Media Storage SOP Instance UID")


def _values(item: Mapping[str, Any], tag: str) -> list[Any]:
    found = item.get(tag, {}).get("Value", [])
    return found if isinstance(found, list) else []


class Archive:
    """``url``: the root of the service, such as ``http://pacs:8042/dicom-web``. ``headers``: sent with each request."""

    def __init__(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self._headers = dict(headers or {})

    def _ask(self, method: str, path: str, accept: str, most: int = MOST_BYTES, **more: Any) -> requests.Response:
        """The answer, read whole. Raises :class:`ArchiveError`, also where it has more than ``most`` bytes."""
        headers = {**self._headers, "Accept": accept, **more.pop("headers", {})}
        with open_session() as session:
            try:
                address = self.url + path
                with session.request(method, address, headers=headers, timeout=SECONDS, stream=True, **more) as reply:
                    body = bytearray()
                    for block in reply.iter_content(2**16):
                        body += block
                        if len(body) > most:
                            raise LargeAnswerError(f"the archive's answer has more than {most} bytes")
                    reply._content = bytes(body)
                    return reply
            except requests.RequestException as error:
                raise ArchiveError(f"no answer from the archive: {type(error).__name__}") from error

    def _page(self, query: Sequence[tuple[str, str]], offset: int, limit: int) -> list[tuple[str, int | None]]:
        """(UID, instances) of each study of a page."""
        asked = [*query, ("limit", str(limit)), ("offset", str(offset)), ("includefield", INSTANCES)]
        reply = self._ask("GET", "/studies", "application/dicom+json", params=asked)
        if reply.status_code == 204:
            return []
        try:
            found = reply.json() if reply.ok else None
            texts = [[str(next(iter(_values(one, tag)), "")) for tag in (STUDY, INSTANCES)] for one in found or []]
        except (ValueError, AttributeError, TypeError):
            found = None
        if not isinstance(found, list):
            said = f"the archive answered a query for studies with status {reply.status_code} and no list"
            raise ArchiveError(said, reply.status_code)
        return [(uid, int(count) if count.isdecimal() else None) for uid, count in texts]

    def studies(self, query: Sequence[tuple[str, str]]) -> Iterator[tuple[str, int | None]]:
        """Each study that QIDO-RS finds, once, page by page: its UID as the archive has it, and of how many instances
        it is, None where the archive does not say. Raises :class:`ArchiveError`, also for an archive whose pages do not
        have all of them.

        A page is asked for with a limit beyond its offset, for Orthanc 1.10 with ModalitiesInStudy counts the limit
        from the first study on; where that is not enough, one more than were found is asked for at the end."""
        seen: set[str] = set()
        offset, limit = 0, PAGE
        while page := self._page(query, offset, limit):
            before = len(seen)
            for uid, count in page:
                if uid not in seen:
                    seen.add(uid)
                    yield uid, count
            if len(seen) == before:
                if before == PAGE:  # as many as were asked for at first, and the same again
                    raise ArchiveError(f"the archive gives the same {PAGE} studies for every page; narrow the query")
                return
            offset += len(page)
            limit = PAGE + 2 * offset
        if seen and {uid for uid, _ in self._page(query, 0, len(seen) + 1)} - seen:
            raise ArchiveError(f"the archive has more studies than its pages gave ({len(seen)}); narrow the query")

    def mr_series(self, study: str) -> list[str]:
        """The UIDs of the MR series of ``study``. Raises :class:`ArchiveError`, also where there is none."""
        reply = self._ask("GET", f"/studies/{valid_uid(study)}/series", "application/dicom+json")
        if reply.status_code in (204, 404):
            raise ArchiveError("the archive has no such study", reply.status_code)
        try:
            found = reply.json() if reply.ok else None
            series = [_values(one, SERIES)[0] for one in found or [] if "MR" in _values(one, MODALITY)]
        except (ValueError, LookupError, AttributeError, TypeError):
            found = None
        if found is None:
            raise ArchiveError(f"the archive answered a query with status {reply.status_code} and no list of series")
        if not found:
            raise ArchiveError("the archive has no such study")
        if not series:
            raise NoMrError(f"the study has {len(found)} series in the archive, none of them MR")
        return [valid_uid(str(one)) for one in series]

    def instances(self, study: str, series: str, most: int = MOST_BYTES) -> list[bytes]:
        """The DICOM files of a series, as the archive keeps them. Raises :class:`ArchiveError`, and
        :class:`LargeAnswerError` for more than ``most`` bytes."""
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        reply = self._ask("GET", f"/studies/{valid_uid(study)}/series/{valid_uid(series)}", accept, most)
        if not reply.ok:
            raise ArchiveError(f"the archive did not give a series: status {reply.status_code}", reply.status_code)
        return list(parts_of(reply.content, reply.headers.get("Content-Type", "")))

    def store(self, study: str, objects: Sequence[bytes]) -> None:
        """Stores DICOM files into ``study``. Raises :class:`ArchiveError` unless the archive names each as stored."""
        boundary = uuid.uuid4().hex
        head = f"\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        body = b"".join(head + one for one in objects) + f"\r\n--{boundary}--\r\n".encode()
        kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
        path = f"/studies/{valid_uid(study)}"
        reply = self._ask("POST", path, "application/dicom+json", data=body, headers={"Content-Type": kind})
        try:
            answer = reply.json()
            stored = {_values(one, INSTANCE)[0] for one in _values(answer, REFERENCED)}
        except (ValueError, LookupError, AttributeError, TypeError):
            stored = set()
        missing = {instance_uid(one) for one in objects} - stored
        if missing:
            raise ArchiveError(
                f"the archive stored {len(objects) - len(missing)} of {len(objects)} results (status "
                f"{reply.status_code})",
                reply.status_code,
            )
