"""TorchServe as the front door sees it: predict, describe, the model card; the token goes along by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from web.access.tokens import Kind, Tokens
from web.contract.fields import PROBLEM_KIND, RefusedError
from web.health.fleet import Fleet, parse_version
from web.settings import Settings
from web.traces.spans import NoTraces, Traces
from web.way.submission import Submission
from web.way.wire import Reply, TooLateError, UnreachableError, exchange

NOTHING: Mapping[str, str] = MappingProxyType({})
TOKEN_TRIES = 3
MANAGEMENT_SECONDS = 5.0


def _token_refused(reply: Reply) -> bool:
    return reply.status in (400, 401) and reply.kind != PROBLEM_KIND and b"InvalidKeyException" in reply.body


class TorchServe:
    """Safe to use from several threads."""

    def __init__(self, settings: Settings, traces: Traces | None = None) -> None:
        self._traces = traces or NoTraces()
        self._model = settings.model
        self._inference = settings.inference_url.rstrip("/")
        self._management = settings.management_url.rstrip("/")
        self._tokens = Tokens(settings.key_file, settings.management_url)

    def token_ends(self) -> dict[str, float]:
        """As :meth:`web.access.tokens.Tokens.ends`."""
        return self._tokens.ends()

    def predict(
        self,
        submission: Submission,
        request_id: str,
        seconds: float,
        look: Callable[[], None],
        also: Mapping[str, str] = NOTHING,
    ) -> Reply:
        """The reply as it came, whoever wrote it; ``also``: headers beside the submission's. Raises ``not_ready`` when
        TorchServe cannot be reached or refuses the token, ``timeout`` after ``seconds``, or what ``look``, called while
        the answer is awaited, raises."""
        path = f"/{submission.service}/{self._model}" + (f"/{submission.version}" if submission.version else "")
        headers = {**submission.headers(), **also, "X-Request-Id": request_id}

        def send(token: Mapping[str, str]) -> Reply:
            with self._traces.asking() as (traced, replied):
                every = {**headers, **traced, **token}
                reply = exchange("POST", self._inference + path, every, submission.scan, seconds, look)
                replied(reply)
                return reply

        try:
            return self._with_token("inference", send)
        except TooLateError:
            raise RefusedError("timeout", f"There was no answer within {seconds:.0f} s. Send fewer slices.") from None
        except UnreachableError:
            raise RefusedError("not_ready", "TorchServe cannot be reached; it may be starting.", 5) from None

    def describe(self) -> Fleet | None:
        """None when TorchServe has no such model. Raises :class:`UnreachableError` or :class:`TooLateError`."""
        default = self._manage(f"/models/{self._model}")
        every = self._manage(f"/models/{self._model}/all")
        if not default or not every:
            return None
        return Fleet(tuple(parse_version(raw) for raw in every), str(default[0]["modelVersion"]))

    def card(self, version: str) -> Mapping[str, Any] | None:
        """The model card of ``version``, which its worker gives; None when it gives none. Raises
        :class:`UnreachableError` or :class:`TooLateError`."""
        described = self._manage(f"/models/{self._model}/{version}?customized=true")
        try:
            text = (described[0] if described else {}).get("customizedMetadata") or "null"
            card = json.loads(text) if isinstance(text, str) else text
        except ValueError:
            return None
        return card if isinstance(card, dict) else None

    def _manage(self, path: str) -> list[Mapping[str, Any]] | None:
        def send(token: Mapping[str, str]) -> Reply:
            return exchange("GET", self._management + path, token, seconds=MANAGEMENT_SECONDS)

        reply = self._with_token("management", send)
        if reply.status == 404:
            return None
        try:
            found = json.loads(reply.body) if reply.status == 200 else None
        except ValueError:
            found = None
        if not isinstance(found, list):
            raise UnreachableError(f"the management port answered {reply.status}")
        return found

    def _with_token(self, kind: Kind, send: Callable[[Mapping[str, str]], Reply]) -> Reply:
        for _ in range(TOKEN_TRIES):
            token = self._tokens.bearer(kind)
            reply = send(token)
            if not _token_refused(reply):
                return reply
            if not self._tokens.refused(kind, token):
                break
        raise UnreachableError(f"TorchServe refuses the {kind} token")
