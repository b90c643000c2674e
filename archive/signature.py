"""Who vouches for an archive: a signature over its name, its version and the digests of all its members, kept in a
member of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from archive.digests import SIGNATURE_FILE, digest_of
from archive.errors import UntrustedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

    from archive.verify import Release

KIND = "application/vnd.brainseg.archive+json"


def statement_of(name: str, version: str, members: Mapping[str, bytes]) -> bytes:
    """What is signed, of an archive with ``members``: the signature's own is left out."""
    digests = {one: digest_of(content) for one, content in sorted(members.items()) if one != SIGNATURE_FILE}
    return json.dumps({"name": name, "version": version, "members": digests}, indent=1).encode()


def signature_member(name: str, version: str, members: Mapping[str, bytes], key: Ed25519PrivateKey) -> bytes:
    """The content of :data:`SIGNATURE_FILE`. Equal archives and keys give equal bytes."""
    from signing.envelope import seal  # here: most archives are not signed, and every start would pay for it

    return (json.dumps(seal(KIND, statement_of(name, version, members), key), indent=1) + "\n").encode()


def read_envelope(content: bytes) -> Mapping[str, Any]:
    """Raises :class:`UntrustedError`."""
    try:
        envelope = json.loads(content)
    except (ValueError, RecursionError):
        envelope = None
    if not isinstance(envelope, dict):
        raise UntrustedError(f"its {SIGNATURE_FILE} cannot be read")
    return envelope


def check_signature(release: Release, trusted: Mapping[str, Ed25519PublicKey], file_name: str) -> str:
    """The id of the trusted key that signed ``release``. Raises :class:`UntrustedError` where there is none, where a
    name, version or member is not what was signed, and where the file goes under a name that is not the release's."""
    from signing.envelope import SignatureError, unseal

    if release.envelope is None:
        raise UntrustedError("it is not signed; sign it with scripts/package --sign")
    try:
        payload, key = unseal(release.envelope, KIND, trusted)
    except SignatureError as error:
        raise UntrustedError(f"its signature is refused: {error}") from error
    if payload != release.statement:
        raise UntrustedError("its signature is of another archive: name, version or a member differ")
    names = (f"{release.card.name}-{release.version}.mar", release.file_name)
    if file_name not in names:
        raise UntrustedError(f"it was renamed: what is signed is {names[0]}")
    return key
