"""The front door's part of a passport: it adds when, and signs. TorchServe and what decodes scans never see the key."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from signing.envelope import seal
from signing.keys import PRIVATE, key_id, load_private, load_trusted, make_keys, public_pem
from web.contract.fields import NOTICE, PASSPORT_KIND, Answer, RefusedError
from web.log import logger
from web.way.submission import Submission

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HEADER = "X-Brainseg-Passport"


class Passports:
    """``folder``: of the keys, made where it has none; None: there are no passports. A rotation is seen at once. Safe
    to use from several threads. Raises ``OSError`` or ``ValueError`` for a key that cannot be used: no server starts
    with one. One that turns bad while it runs is ``not_ready``, to who asks for a passport or the keys, and to nobody
    else."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._read: Ed25519PrivateKey | None = None
        if folder is not None:
            if not (folder / PRIVATE).exists():
                make_keys(folder)
            load_private(folder / PRIVATE)
            load_trusted(folder)

    def check(self, submission: Submission) -> None:
        """Raises ``invalid_parameter`` where a passport is asked for and cannot be given."""
        if self._folder is None and submission.fields.get("passport") == "on":
            raise RefusedError("invalid_parameter", "Field passport: this server has no key to sign one; leave it out.")

    def signed(self, answer: Answer) -> Answer:
        """``answer`` with its passport signed: in the body where that is JSON, else in its header, as base64. An answer
        without one stays as it is. Raises ``internal_error`` for one that is not the handler's."""
        carried = answer.headers.get(HEADER)
        if carried is None or self._folder is None:
            return answer
        try:
            before = base64.b64decode(carried, validate=True)
            envelope = json.loads(before)
            content = json.loads(base64.b64decode(envelope["payload"], validate=True))
            if envelope["payloadType"] != PASSPORT_KIND or envelope["signatures"]:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise RefusedError("internal_error", "The record for the passport cannot be read.") from None
        issued = datetime.now(UTC).isoformat(timespec="seconds")
        payload = json.dumps({**content, "issued": issued, "notice": NOTICE}).encode()
        after = json.dumps(seal(PASSPORT_KIND, payload, self._key(self._folder))).encode()
        headers = {name: value for name, value in answer.headers.items() if name != HEADER}
        if not answer.headers.get("Content-Type", "").startswith("application/json"):
            return replace(answer, headers={**headers, HEADER: base64.b64encode(after).decode("ascii")})
        field = b'"passport": '
        if answer.body.count(field + before) != 1:
            raise RefusedError("internal_error", "The record for the passport is not in the answer.")
        return replace(answer, headers=headers, body=answer.body.replace(field + before, field + after))

    def listed(self) -> list[dict[str, Any]]:
        """The public keys that are trusted, as the contract has them."""
        if self._folder is None:
            return []
        current = key_id(self._key(self._folder).public_key())
        try:
            trusted = load_trusted(self._folder)
        except (OSError, ValueError) as error:
            raise _unusable(error) from error
        return [
            {"keyid": name, "algorithm": "ed25519", "public_key": public_pem(key), "signs": name == current}
            for name, key in trusted.items()
        ]

    def _key(self, folder: Path) -> Ed25519PrivateKey:
        with self._lock:
            try:
                status = (folder / PRIVATE).stat()
                stamp = (status.st_mtime_ns, status.st_ino)
                if self._read is None or stamp != self._stamp:
                    self._read, self._stamp = load_private(folder / PRIVATE), stamp
            except (OSError, ValueError) as error:
                raise _unusable(error) from error
            return self._read


def _unusable(error: Exception) -> RefusedError:
    logger.error("the keys of passports cannot be used: %s", error)
    return RefusedError("not_ready", "The keys that sign passports cannot be read; the server's log says why.", 30)
