"""A folder of keys: the private one that signs (mode 0600), and the public ones that are trusted, one file each.

Public keys of before stay trusted until their file is removed, so a rotation invalidates nothing."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

PRIVATE = "signing.key"
TRUSTED = "trusted"
SUFFIX = ".pub"
_ID = re.compile(r"[0-9a-f]{16}")
LARGEST = 4096  # bytes of a key's file; Ed25519 takes 119 and 113


class KeyFileError(ValueError):
    """A key that cannot be used; the message names the file and never shows a private key."""


def key_id(public: Ed25519PublicKey) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the 32 raw bytes."""
    return hashlib.sha256(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def public_pem(public: Ed25519PublicKey) -> str:
    """As ``openssl pkey -pubin`` reads it."""
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode("ascii")


def make_keys(folder: Path) -> str:
    """Makes a pair in ``folder``, which need not exist; the new key's id. Raises :class:`KeyFileError` where it has one
    already, ``OSError`` where it cannot be written."""
    if (folder / PRIVATE).exists():
        raise KeyFileError(f"{folder} has a key already; rotate it, or name another folder")
    return _new(folder)


def rotate_keys(folder: Path) -> str:
    """Replaces the private key in ``folder``; the new key's id. What the old one signed stays good until its public key
    is removed. Raises :class:`KeyFileError` or ``OSError``."""
    load_private(folder / PRIVATE)
    return _new(folder)


def remove_key(folder: Path, identity: str) -> None:
    """Takes the public key ``identity`` out of those trusted. Raises :class:`KeyFileError` where it is not there or is
    the one that signs now."""
    if not _ID.fullmatch(identity) or not (path := _public_path(folder, identity)).is_file():
        raise KeyFileError(f"{folder} trusts no key {identity!r}; the list shows which there are")
    if (folder / PRIVATE).exists() and key_id(load_private(folder / PRIVATE).public_key()) == identity:
        raise KeyFileError(f"key {identity} signs now; rotate first")
    path.unlink()


def _public_path(folder: Path, identity: str) -> Path:
    return folder / TRUSTED / f"{identity}{SUFFIX}"


def _new(folder: Path) -> str:
    key = Ed25519PrivateKey.generate()
    identity = key_id(key.public_key())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / TRUSTED).mkdir(mode=0o755, exist_ok=True)
    # The public one first: nothing is ever signed by a key that nobody could check.
    _write(_public_path(folder, identity), public_pem(key.public_key()).encode(), 0o644)
    _write(folder / PRIVATE, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), 0o600)
    return identity


def _write(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise KeyFileError(f"{path} has more than {LARGEST} bytes; expected one key in PEM")
    return content


def load_private(path: Path) -> Ed25519PrivateKey:
    """The private key in ``path`` (PEM, PKCS 8, no password). Raises :class:`KeyFileError` for another kind of file and
    for one that others may read, ``OSError`` where it cannot be read."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise KeyFileError(f"{path} may be read by others (mode {mode:04o}); chmod 600 it, or make another key")
    try:
        key = load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} holds no private key without a password; make one with scripts/keys") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds another kind of key; expected Ed25519, as scripts/keys makes it")
    return key


def load_trusted(folder: Path) -> Mapping[str, Ed25519PublicKey]:
    """Public keys by id: every ``*.pub`` in ``folder``, or in its :data:`TRUSTED`. Raises :class:`KeyFileError` for a
    file that is no Ed25519 key and for a folder without any, ``OSError`` where it cannot be read."""
    inside = folder / TRUSTED if (folder / TRUSTED).is_dir() else folder
    found = dict(_public(path) for path in sorted(inside.glob(f"*{SUFFIX}")))
    if not found:
        raise KeyFileError(f"{inside} holds no public key (*{SUFFIX}); put those in that are to be trusted")
    return found


def _public(path: Path) -> tuple[str, Ed25519PublicKey]:
    try:
        key = load_pem_public_key(_read(path))
    except (ValueError, UnsupportedAlgorithm):
        raise KeyFileError(f"{path} holds no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} holds another kind of key; expected Ed25519")
    return key_id(key), key
