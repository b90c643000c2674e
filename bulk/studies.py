"""Studies of an archive that speaks DICOMweb as a source: found by QIDO-RS, and each read when its turn comes. What is
read stays in memory: nothing of a patient lies on the disk, whoever is killed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from brainseg_client.dicomweb import Archive, ArchiveError, valid_uid
from brainseg_client.session import is_loopback
from bulk.book import Book, LeftOut, study_of
from bulk.errors import BulkError
from bulk.task import Part

SCHEMES = ("dicomweb+https", "dicomweb+http")
VARIABLE = "BRAINSEG_DICOMWEB_AUTHORIZATION"
OURS = frozenset({"limit", "offset", "includefield", "fuzzymatching"})  # of a query: these are not the caller's
_STUDY = re.compile(r"dicomweb\+(?P<root>https?://.+)/studies/(?P<uid>[0-9.]+)")


@dataclass(frozen=True)
class Query:
    """``root``: of the service; ``given``: what a study must have, as QIDO-RS names it."""

    root: str
    given: tuple[tuple[str, str], ...]


def is_studies(address: str) -> bool:
    """Whether ``address`` is of an archive, or of a study in one."""
    return address.partition("://")[0].lower() in SCHEMES


def query_of(source: str, authorization: str) -> Query:
    """Of ``dicomweb+https://host/dicom-web?ModalitiesInStudy=MR``. Raises :class:`BulkError`, whose words show nothing
    of the query: it may name a patient."""
    parts = urlsplit(source.partition("+")[2])
    if not parts.hostname or parts.fragment:
        raise BulkError("a source dicomweb+https:// expects https://host/root?Attribute=value&…")
    if parts.username or parts.password:
        raise BulkError(f"a password in an address is seen by others; put it into a file or {VARIABLE}")
    root = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
    if authorization and parts.scheme != "https" and not is_loopback(root):
        raise BulkError("credentials are sent over https alone; the source is dicomweb+http://")
    try:
        given = tuple(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise BulkError("the query of the source cannot be read; expected Attribute=value&…") from error
    if wrong := sorted({name for name, _ in given if name.lower() in OURS}):
        raise BulkError(f"{', '.join(wrong)} in the query of the source is for the paging, which is done here")
    return Query(root, given)


def headers_of(authorization: str) -> Mapping[str, str]:
    """What each request has beside its own."""
    return {"Authorization": authorization} if authorization else {}


def list_studies(book: Book, source: str, authorization: str) -> None:
    """Every study that the archive finds. A study is known again by its address and its number of instances. Raises
    :class:`BulkError`."""
    query = query_of(source, authorization)
    try:
        for uid, instances in Archive(query.root, headers_of(authorization)).studies(query.given):
            try:
                address = f"dicomweb+{query.root}/studies/{valid_uid(uid)}"
            except ValueError:
                book.leave_out(LeftOut(f"dicomweb+{query.root}/studies", "a study without a valid UID"))
                continue
            book.listed(Part(address, 0, "" if instances is None else f"{instances} instances"), study_of(uid))
    except ArchiveError as error:
        raise BulkError(f"the studies cannot be listed: {error}") from error


def read_study(address: str, most: int, authorization: str) -> list[bytes]:
    """The DICOM files of the study's MR series. Raises :class:`ArchiveError`; of ``most`` bytes of all of them
    :class:`brainseg_client.dicomweb.LargeAnswerError`."""
    found = _STUDY.fullmatch(address)
    if not found:
        raise ArchiveError("no address of a study")
    archive = Archive(found["root"], headers_of(authorization))
    files: list[bytes] = []
    for series in archive.mr_series(found["uid"]):
        files += archive.instances(found["uid"], series, most - sum(map(len, files)))
    return files
