"""The passport of an answer: who signed it, which scan it is of, and whether the same comes out again.

Needs ``cryptography``: ``pip install brainseg-client[verify]``."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KIND = "application/vnd.brainseg.passport+json"
LARGEST = 64 * 2**20  # bytes of a file that holds one: a whole answer with its pictures


class PassportError(ValueError):
    """Not a passport, not signed by a key that is trusted, changed since, or of another scan."""


@dataclass(frozen=True)
class Passport:
    """What was signed. ``scans``: ``sha256:<hex>`` of each file as sent, by the part's name; ``settings``: the fields
    in force, as text; ``mask``: ``sha256`` and ``shape``, None where none was given; ``key``: the id of the key that
    signed; ``content``: all of it, as JSON has it."""

    scans: Mapping[str, str]
    version: str
    settings: Mapping[str, str]
    figures: Mapping[str, Any]
    mask: Mapping[str, Any] | None
    engine: Mapping[str, Any]
    issued: str
    key: str
    content: Mapping[str, Any]


def _verifies(pem: str, signature: bytes, signed: bytes) -> bool:
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        raise PassportError(
            "cryptography is not installed, which checks signatures: pip install 'brainseg-client[verify]'"
        ) from None
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        raise PassportError("a public key cannot be read; expected PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise PassportError("a public key is of another kind; expected Ed25519")
    try:
        key.verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _parts(envelope: object) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Payload and signatures of ``envelope``, or of the answer that holds it."""
    if isinstance(envelope, Mapping) and "passport" in envelope:
        envelope = envelope["passport"]
    try:
        if not isinstance(envelope, Mapping) or envelope["payloadType"] != KIND:
            raise PassportError("it holds no passport; ask for one with passport=on")
        payload = base64.b64decode(envelope["payload"], validate=True)
        found = [(str(one["keyid"]), base64.b64decode(one["sig"], validate=True)) for one in envelope["signatures"]]
    except (KeyError, TypeError, binascii.Error, ValueError) as error:
        if isinstance(error, PassportError):
            raise
        raise PassportError("its passport cannot be read") from None
    return payload, found


def read_passport(envelope: object, keys: Mapping[str, str]) -> Passport:
    """The passport in ``envelope`` (as in an answer's ``passport``, or the answer itself), its signature checked.
    ``keys``: public keys that are trusted, PEM by id. Raises :class:`PassportError`."""
    payload, signatures = _parts(envelope)
    signed = b"DSSEv1 %d %s %d %s" % (len(KIND), KIND.encode(), len(payload), payload)
    if not signatures:
        raise PassportError("its passport is not signed: it did not come through a front door")
    known = [(name, signature) for name, signature in signatures if name in keys]
    if not known:
        raise PassportError(f"its passport is signed by key {signatures[0][0][:40]!r}, which is not trusted")
    signer = next((name for name, signature in known if _verifies(keys[name], signature, signed)), None)
    if signer is None:
        raise PassportError("its passport was changed after it was signed")
    try:
        raw = json.loads(payload)
        return Passport(
            dict(raw["input"]),
            str(raw["model"]["version"]),
            {str(name): str(value) for name, value in raw["settings"].items()},
            dict(raw["figures"]),
            None if raw["mask"] is None else dict(raw["mask"]),
            dict(raw["engine"]),
            str(raw["issued"]),
            signer,
            raw,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PassportError("its passport is of a later format than this client knows") from None


def check_scan(passport: Passport, scans: Mapping[str, bytes]) -> None:
    """Raises :class:`PassportError` unless ``scans``, whole files by part, are those that were answered."""
    given = {part: f"sha256:{hashlib.sha256(scan).hexdigest()}" for part, scan in scans.items()}
    if set(given) != set(passport.scans):
        raise PassportError(
            f"the passport is of {', '.join(sorted(passport.scans))}; given: {', '.join(sorted(given))}"
        )
    if other := [part for part, digest in given.items() if passport.scans[part] != digest]:
        raise PassportError(f"the passport is of another scan: {', '.join(other)} differs")


def differences(before: Passport, after: Passport) -> list[str]:
    """What came out otherwise the second time, in words; empty when it was the same scan, model and settings, the mask
    is the same pixel for pixel and so is every figure. The words name the engine where that is another one."""
    found = [
        f"{what}: {after.content.get(what)} and was {before.content.get(what)}"
        for what in ("input", "model", "settings")
        if after.content.get(what) != before.content.get(what)
    ]
    if before.mask != after.mask:
        found.append("the mask differs")
    found += [
        f"{name} is {after.figures.get(name)} and was {value}"
        for name, value in before.figures.items()
        if after.figures.get(name) != value
    ]
    if found:
        found += [
            f"{what}: {after.content.get(what)} and was {before.content.get(what)}"
            for what in ("archive", "code", "engine")
            if after.content.get(what) != before.content.get(what)
        ]
    return found


def load_keys(place: Path) -> dict[str, str]:
    """Public keys in the file ``place``, or in the ``*.pub`` files of that folder; PEM by id. Raises
    :class:`PassportError` or ``OSError``."""
    paths = sorted(place.glob("*.pub")) if place.is_dir() else [place]
    if not paths:
        raise PassportError(f"{place} holds no public key (*.pub)")
    return {_key_id(text): text for text in (path.read_text(encoding="ascii") for path in paths)}


def _key_id(pem: str) -> str:
    """The first 16 hexadecimal digits of SHA-256 over the raw key: the last 32 bytes of what Ed25519's PEM holds."""
    body = "".join(line for line in pem.splitlines() if line and not line.startswith("-----"))
    try:
        raw = base64.b64decode(body, validate=True)
    except binascii.Error:
        raise PassportError("a public key cannot be read; expected PEM") from None
    return hashlib.sha256(raw[-32:]).hexdigest()[:16]


def read_file(path: Path) -> object:
    """The JSON in ``path``. Raises :class:`PassportError` or ``OSError``."""
    if path.stat().st_size > LARGEST:
        raise PassportError(f"{path} has more than {LARGEST} bytes; expected a passport or an answer")
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise PassportError(f"{path} is no JSON; expected a passport, or the answer that it came with") from None
