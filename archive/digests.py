"""The digests of an archive, made at packaging: of each member inside it, of the whole beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from archive.errors import UntrustedError
from handler.files import sha256_of, write_atomic
from settings.mapping import SettingsError, from_mapping

DIGESTS_FILE = "digests.json"
SIGNATURE_FILE = "signature.json"  # comes after the digests: it covers them
UNLISTED = (DIGESTS_FILE, SIGNATURE_FILE)
RECORD_SUFFIX = ".sha256"
_HEX = 64


@dataclass(frozen=True)
class Digests:
    """``inputs``: over all that the archive was made from; ``build``: over what of that is code and settings, the same
    for every release of one checkout."""

    inputs: str
    build: str


def digest_of(content: bytes) -> str:
    """``sha256:<hex>``."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def member_of(digests: Digests, members: Mapping[str, bytes]) -> bytes:
    """The content of :data:`DIGESTS_FILE` for an archive of ``members``."""
    named = {name: digest_of(content) for name, content in sorted(members.items()) if name not in UNLISTED}
    return (json.dumps({**asdict(digests), "members": named}, indent=1) + "\n").encode()


def check_members(members: Mapping[str, bytes]) -> Digests:
    """What :data:`DIGESTS_FILE` says of the archive. Raises :class:`UntrustedError` where a member is not as it was
    packaged, came later or is gone."""
    try:
        raw = json.loads(members[DIGESTS_FILE])
        recorded = {str(name): str(digest) for name, digest in raw.pop("members").items()}
        digests = from_mapping(Digests, raw, DIGESTS_FILE)
    except KeyError:
        raise UntrustedError(
            f"it has no {DIGESTS_FILE}: an older build made it. Make it with scripts/package"
        ) from None
    except (ValueError, AttributeError, TypeError, SettingsError) as error:
        raise UntrustedError(f"its {DIGESTS_FILE} cannot be read: {error!r}") from error
    there = {name: digest_of(content) for name, content in members.items() if name not in UNLISTED}
    for name in sorted(recorded.keys() | there.keys()):
        if recorded.get(name) != there.get(name):
            what = "is gone" if name not in there else "came" if name not in recorded else "was changed"
            raise UntrustedError(f"its member {name} {what} after it was packaged; make it anew with scripts/package")
    return digests


def record_path(archive: Path) -> Path:
    """Where the digest of ``archive`` is kept, for ``sha256sum -c`` too."""
    return archive.with_name(archive.name + RECORD_SUFFIX)


def write_record(archive: Path) -> None:
    """Keeps the digest of ``archive`` beside it."""
    hexadecimal = sha256_of(archive).removeprefix("sha256:")
    write_atomic(record_path(archive), f"{hexadecimal}  {archive.name}\n".encode())


def check_record(archive: Path) -> None:
    """Raises :class:`UntrustedError` where ``archive`` is not the one whose digest is kept beside it."""
    try:
        recorded = record_path(archive).read_text(encoding="utf-8")[:_HEX]
    except (OSError, UnicodeDecodeError):
        raise UntrustedError(f"its digest is not kept beside it, in {record_path(archive).name}") from None
    if sha256_of(archive) != f"sha256:{recorded}":
        raise UntrustedError("it was changed after it was packaged")
