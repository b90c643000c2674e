"""What a client asks for with a job, and what is kept of it beside the body."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import uuid4

from web.contract.fields import MODEL, RefusedError
from web.contract.headers import SAFE_ID
from web.way.submission import Submission, read_submission

WEBHOOK = "webhook"
KEY_HEADER = "idempotency-key"
_KEY = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?")


@dataclass(frozen=True)
class Order:
    """``identity``: by which the client knows the job; ``owner``: whose it is; ``digest``: of all that was asked, by
    which the same request is known again. ``created``: seconds since 1970; ``size``: of the body in bytes. The rest as
    :class:`web.way.submission.Submission` has it. ``webhook``: a URL, None where nobody is to be told."""

    identity: str
    owner: str
    request_id: str
    digest: str
    created: float
    size: int
    fields: Mapping[str, str]
    accept: str
    version: str | None
    content_type: str
    long: bool
    webhook: str | None
    sticky: str = ""
    model: str | None = None

    @property
    def name(self) -> str:
        """Of the job within this server."""
        return name_of(self.owner, self.identity)

    def submission(self, scan: bytes) -> Submission:
        """As it came."""
        return Submission(
            scan, self.fields, self.accept, self.version, self.content_type, self.long, self.sticky, model=self.model
        )

    def kept(self) -> dict[str, Any]:
        """As JSON, for :func:`order_of`."""
        return asdict(self)


def order_of(kept: Mapping[str, Any]) -> Order:
    """What :meth:`Order.kept` gave."""
    return Order(**kept)


def name_of(owner: str, identity: str) -> str:
    """Each owner has names of his own, so that nobody learns of, or stands in the way of, another's jobs. Good as a
    file name where ``identity`` is one of :data:`web.contract.headers.SAFE_ID`."""
    return f"{prefix_of(owner)}{identity}"


def prefix_of(owner: str) -> str:
    """How the names of all his jobs begin."""
    return f"{hashlib.sha256(owner.encode()).hexdigest()[:16]}-"


def identity_of(headers: Mapping[str, str]) -> str:
    """For a job that comes without an id: a new one, or where an ``Idempotency-Key`` comes with it the one that this
    key always gives. ``headers``: names in lower case. Raises ``invalid_parameter``."""
    key = headers.get(KEY_HEADER)
    if key is None:
        return uuid4().hex
    if not _KEY.fullmatch(key):
        raise RefusedError("invalid_parameter", "Idempotency-Key: expected 1 to 200 printable ASCII characters.")
    return hashlib.sha256(b"Idempotency-Key " + key.encode()).hexdigest()[:32]


def check_identity(identity: str) -> str:
    """A client's own id for a job. Raises ``invalid_parameter``."""
    if not SAFE_ID.fullmatch(identity):
        raise RefusedError(
            "invalid_parameter",
            "The id of a job: expected at most 64 letters, digits, '.', '_' and '-', a letter or digit first.",
        )
    return identity


def read_order(
    came: bytes,
    headers: Mapping[str, str],
    query: str,
    owner: str,
    identity: str,
    request_id: str,
    check_hook: Callable[[str], None],
) -> tuple[Order, Submission]:
    """The same checks as before a scan is segmented; arguments as of :func:`web.way.submission.read_submission`.
    ``check_hook``: raises for a webhook that is not allowed. Raises as that does."""
    found = read_submission(came, headers, query, also=(WEBHOOK, MODEL))
    fields = dict(found.fields)
    hook = fields.pop(WEBHOOK, None)
    if hook is not None:
        check_hook(hook)
    submission = replace(found, fields=fields)
    order = Order(
        identity, owner, request_id, _digest(submission, hook), time.time(), len(found.scan), fields, found.accept,
        found.version, found.content_type, found.long, hook, found.sticky, found.model,
    )  # fmt: skip
    return order, submission


def _digest(submission: Submission, hook: str | None) -> str:
    digest = hashlib.sha256(submission.scan)
    asked = [sorted(submission.fields.items()), submission.accept, submission.version, submission.content_type, hook]
    if submission.model is not None:
        asked.append(submission.model)
    digest.update(json.dumps(asked).encode())
    return digest.hexdigest()
