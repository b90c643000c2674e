"""What can go wrong between the client and the front door, as exceptions to be told apart by type or by ``code``."""

from __future__ import annotations


class BrainSegError(Exception):
    """A request without a result. ``code``: the contract's, such as ``corrupt_image``, or ``unreachable``; ``detail``:
    the server's words; ``status``: the HTTP status, 0 where none came; ``request_id``: what the server's log calls the
    request; ``retry_after``: seconds the server asks to wait, None where it names none."""

    def __init__(
        self, code: str, detail: str, status: int = 0, request_id: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(f"{code}: {detail}" + (f" (request {request_id})" if request_id else ""))
        self.code = code
        self.detail = detail
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after


class ScanError(BrainSegError):
    """The scan or a setting is refused: sent again as it is, it will be refused again."""


class AccessError(BrainSegError):
    """The API key is missing or not known."""


class NotFoundError(BrainSegError):
    """There is no such model version, or no front door at this address."""


class BusyError(BrainSegError):
    """The server is busy, starting, or limits this client: later it may answer."""


class ServerError(BrainSegError):
    """The server failed over this request, or has not enough memory for it."""


class UnreachableError(BrainSegError):
    """There was no answer: nobody listens at the address, or the connection broke."""


BUSY = ("queue_full", "not_ready", "rate_limited")


def error_of(
    code: str, detail: str, status: int, request_id: str = "", retry_after: float | None = None
) -> BrainSegError:
    """The exception for a refusal."""
    kind: type[BrainSegError] = ServerError
    # Without memory the server is not busy: the same scan sent again at once would take from others what is left.
    if code in BUSY or (status in (429, 503) and code != "out_of_memory"):
        kind = BusyError
    elif status in (401, 403):
        kind = AccessError
    elif status == 404:
        kind = NotFoundError
    elif 400 <= status < 500:
        kind = ScanError
    return kind(code, detail, status, request_id, retry_after)
