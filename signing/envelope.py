"""Signed envelopes as DSSE has them (github.com/secure-systems-lab/dsse, protocol 1.0.2): the signature covers the
payload's bytes and its kind, so nothing has to be written the same way twice to be checked."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from signing.keys import key_id


class SignatureError(ValueError):
    """Not signed, not by a trusted key, or changed since."""


def signed_bytes(kind: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what the signature is over."""
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode("ascii"), len(payload), payload)


def seal(kind: str, payload: bytes, key: Ed25519PrivateKey) -> dict[str, Any]:
    """The envelope, to be written as JSON. The same payload and key give the same envelope."""
    signature = base64.b64encode(key.sign(signed_bytes(kind, payload))).decode("ascii")
    return {
        "payloadType": kind,
        "payload": base64.b64encode(payload).decode("ascii"),
        "signatures": [{"keyid": key_id(key.public_key()), "sig": signature}],
    }


def unseal(envelope: object, kind: str, trusted: Mapping[str, Ed25519PublicKey]) -> tuple[bytes, str]:
    """The payload, and the id of the trusted key that signed it. Raises :class:`SignatureError`."""
    try:
        if not isinstance(envelope, Mapping) or envelope["payloadType"] != kind:
            raise SignatureError(f"it is no envelope of {kind}")
        payload = base64.b64decode(envelope["payload"], validate=True)
        signatures = [
            (str(one["keyid"]), base64.b64decode(one["sig"], validate=True)) for one in envelope["signatures"]
        ]
    except (KeyError, TypeError, ValueError) as error:  # ValueError: base64 that is not ASCII, or is none
        if isinstance(error, SignatureError):
            raise
        raise SignatureError("its envelope cannot be read") from error
    if not signatures:
        raise SignatureError("it is not signed")
    known = [(name, signature) for name, signature in signatures if name in trusted]
    for name, signature in known:
        try:
            trusted[name].verify(signature, signed_bytes(kind, payload))
        except InvalidSignature:
            continue
        return payload, name
    if known:
        raise SignatureError(f"it was changed after key {known[0][0]} signed it")
    raise SignatureError(f"it is signed by key {signatures[0][0][:40]}, which is not trusted")
