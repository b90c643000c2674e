"""A scan's files, wherever they lie."""

from __future__ import annotations

from collections.abc import Sequence

from brainseg_client.dicomweb import ArchiveError, LargeAnswerError, NoMrError
from brainseg_client.volumes import LARGEST_SERIES, zipped
from bulk.places import read
from bulk.row import UNREADABLE
from bulk.studies import is_studies, read_study
from bulk.task import Part, digest_of
from handler.request import RAW_PART


class Refused(Exception):  # noqa: N818  it is a value: what the scan's row says
    """Before the handler is asked."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code, self.detail = code, detail


def read_scan(parts: Sequence[Part], most: int, authorization: str = "") -> list[bytes]:
    """The bytes of each file: of one file at most ``most``, of a study what a series may have. Of an archive's study,
    which is one part, its MR files. Raises :class:`Refused`."""
    if is_studies(parts[0].address):
        return _of_study(parts[0].address, authorization)
    limit = most if len(parts) == 1 else LARGEST_SERIES
    claimed = sum(part.size for part in parts)
    if claimed > limit:
        raise Refused("too_large", f"The scan has {claimed} bytes; at most {limit} are taken.")
    found, left = [], limit
    for part in parts:
        try:
            found.append(read(part.address, left))
        except OSError as error:
            raise Refused(UNREADABLE, f"The file cannot be read: {error.strerror or error}") from error
        left -= len(found[-1])
        if left < 0:  # it grew meanwhile
            raise Refused("too_large", f"The scan has more than {limit} bytes.")
    return found


def _of_study(address: str, authorization: str) -> list[bytes]:
    try:
        return read_study(address, LARGEST_SERIES, authorization)
    except LargeAnswerError as error:
        raise Refused("too_large", f"The study has more than {LARGEST_SERIES} bytes.") from error
    except NoMrError as error:
        raise Refused("not_mr", f"The archive says: {error}.") from error
    except ArchiveError as error:
        raise Refused(UNREADABLE, f"The study cannot be read: {error}") from error


def request_of(parts: Sequence[Part], files: Sequence[bytes]) -> tuple[dict[str, bytes], dict[str, str]]:
    """What was read of ``parts``, as the handler is asked about it: its parts and the headers that they want."""
    if parts[0].sequence:
        sent = {part.sequence: data for part, data in zip(parts, files, strict=True)}
        return sent, {"Content-Type": "multipart/form-data"}
    return {RAW_PART: files[0] if len(files) == 1 else zipped(files)}, {}


def digests_of(parts: Sequence[Part], files: Sequence[str]) -> tuple[str, ...]:
    """Of each part, where ``files`` are the digests of what was read: a study is one part, whatever it has."""
    return tuple(files) if len(parts) == len(files) else (digest_of(tuple(files)),)
