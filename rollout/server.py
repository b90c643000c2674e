"""A running TorchServe as ``scripts/deploy`` speaks to it: over HTTP on loopback, with the tokens of its state
folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from archive.store import KEY_FILE, MODEL_NAME
from exchange.session import open_session
from exchange.tokens import bearer
from rollout.errors import NoServerError, RolloutError

ASK_SECONDS = 30.0


@dataclass(frozen=True)
class Version:
    """What TorchServe says of one version. ``pids``: of its workers; ``ready``: how many are READY; ``pending``:
    requests in its queue; ``batch``: how many of them a worker takes at once, and how many ms it waits for more."""

    version: str
    archive: str
    wanted: int
    ready: int
    pids: tuple[int, ...]
    since: str
    pending: int
    batch: tuple[int, int] = (1, 1)

    @property
    def complete(self) -> bool:
        """Every wanted worker is READY."""
        return 0 < self.wanted <= self.ready


def _parse(raw: Mapping[str, Any]) -> Version:
    workers = raw.get("workers") or []
    return Version(
        str(raw["modelVersion"]),
        str(raw.get("modelUrl", "")),
        int(raw.get("minWorkers", 0)),
        sum(worker["status"] == "READY" for worker in workers),
        tuple(int(worker["pid"]) for worker in workers if int(worker["pid"]) > 0),
        min((_to_the_second(str(worker["startTime"])) for worker in workers), default=""),
        int((raw.get("jobQueueStatus") or {}).get("pendingRequests", 0)),
        (int(raw.get("batchSize", 1)), int(raw.get("maxBatchDelay", 1))),
    )


def _to_the_second(time: str) -> str:
    return re.sub(r"\.\d+Z$", "Z", time)


class TorchServe:
    """Raises :class:`NoServerError` from every call that finds nobody, :class:`RolloutError` for what is refused."""

    def __init__(self, state: Path, model: str = MODEL_NAME) -> None:
        self.state, self._model = state, model
        self.logs = state / "logs"
        self.reopen()

    def reopen(self) -> None:
        """Reads anew where the server is: after a restart its ports may be others."""
        settings = _settings(self.state)
        self.store = Path(settings["model_store"])
        self._inference = settings["inference_address"]
        self._management = settings["management_address"]
        self._metrics = settings["metrics_address"]
        self._session = open_session()

    def versions(self) -> dict[str, Version]:
        """All versions that are registered, by name."""
        found = self._manage("GET", "/all")
        return {version.version: version for version in map(_parse, found)}

    def version(self, version: str) -> Version | None:
        """One of them, None if it is not registered."""
        return self.versions().get(version)

    def default(self) -> str:
        """The version that answers when none is named."""
        return str(self._manage("GET", "")[0]["modelVersion"])

    def register(self, archive: str, seconds: float, batch: tuple[int, int] = (1, 1)) -> None:
        """Loads ``archive`` (a file name in the model store) and waits for the workers that its configuration asks for;
        ``batch`` as :class:`Version` has it. Raises :class:`requests.Timeout` after ``seconds``; TorchServe may still
        be at it then."""
        # TorchServe starts the workers of the archive's model-config.yaml whatever initial_workers says, and waits.
        url = f"{self._management}/models"
        asked = {"url": archive, "synchronous": "true", "batch_size": str(batch[0]), "max_batch_delay": str(batch[1])}
        self._call("POST", url, "management", asked, seconds)

    def scale(self, version: str, workers: int) -> None:
        """Asks for ``workers`` workers; they come up later."""
        self._manage("PUT", f"/{version}", min_worker=str(workers), max_worker=str(workers))

    def set_default(self, version: str) -> None:
        self._manage("PUT", f"/{version}/set-default")

    def unregister(self, version: str) -> None:
        """Never of the default, which TorchServe would refuse, nor of one with queued requests, which would hang: the
        caller has seen to that (:mod:`rollout.drain`)."""
        self._manage("DELETE", f"/{version}")

    def barrier(self, version: str, seconds: float) -> bool:
        """Whether the worker of ``version`` has come to the end of its queue within ``seconds``: asks for its model
        card, which waits in line like a scan."""
        try:
            path = f"{self._management}/models/{self._model}/{version}"
            self._call("GET", path, "management", {"customized": "true"}, seconds)
        except requests.Timeout:
            return False
        return True

    def predict(self, scan: bytes, version: str = "", outputs: str = "none", seconds: float = 300) -> requests.Response:
        """The answer to ``scan``, whatever it is; the default version's if none is given. Raises
        :class:`requests.Timeout` after ``seconds``."""
        headers = {
            **self._token("inference"),
            "X-BrainSeg-Outputs": outputs,
            "Content-Type": "application/octet-stream",
        }
        url = f"{self._inference}/predictions/{self._model}" + (f"/{version}" if version else "")
        try:
            # Without the session: it is used from two threads at a time, and a fresh connection costs a millisecond.
            with open_session() as session:
                reply = session.post(url, data=scan, headers=headers, timeout=seconds)
                if _token_refused(reply) and self._renew("inference"):
                    headers |= self._token("inference")
                    reply = session.post(url, data=scan, headers=headers, timeout=seconds)
                return reply
        except requests.ConnectionError as error:
            raise NoServerError(f"TorchServe broke off: {type(error).__name__}. {_START}") from error

    def metrics(self) -> str:
        """The exposition of the metrics port."""
        return self._send("GET", f"{self._metrics}/metrics", {}, {}, ASK_SECONDS).text

    def _manage(self, method: str, path: str, **parameters: str) -> list[Any]:
        url = f"{self._management}/models/{self._model}{path}"
        try:
            found = self._call(method, url, "management", parameters, ASK_SECONDS).json()
        except requests.Timeout as error:
            raise NoServerError(f"TorchServe's management port gave no answer within {ASK_SECONDS:.0f} s") from error
        return found if isinstance(found, list) else [found]

    def _call(
        self, method: str, url: str, kind: str, parameters: Mapping[str, str], seconds: float
    ) -> requests.Response:
        reply = self._send(method, url, self._token(kind), parameters, seconds)
        if _token_refused(reply) and self._renew(kind):
            reply = self._send(method, url, self._token(kind), parameters, seconds)
        if not reply.ok:
            raise RolloutError(
                f"TorchServe refused {method} {url.split('/', 3)[-1]}: {reply.status_code} {_said(reply)}"
            )
        return reply

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], parameters: Mapping[str, str], seconds: float
    ) -> requests.Response:
        try:
            return self._session.request(method, url, params=dict(parameters), headers=dict(headers), timeout=seconds)
        except requests.ConnectionError as error:
            raise NoServerError(f"TorchServe does not answer: {type(error).__name__}. {_START}") from error

    def _renew(self, kind: str) -> bool:
        """Has TorchServe make a new token of ``kind`` (it writes it to its key file); whether it did. After quiet weeks
        the one from its start has expired; the API key never does."""
        url = f"{self._management}/token"
        return self._send("GET", url, self._token("API"), {"type": kind}, ASK_SECONDS).ok

    def _token(self, kind: str) -> dict[str, str]:
        try:
            return bearer(self.state / KEY_FILE, kind)
        except (OSError, ValueError) as error:
            raise NoServerError(f"no {kind} token in {self.state}: its server does not run. {_START}") from error


def _token_refused(reply: requests.Response) -> bool:
    return reply.status_code in (400, 401, 403) and "InvalidKeyException" in reply.text


_START = "Start it with scripts/serve, or name another state folder with --state."


def _said(reply: requests.Response) -> str:
    try:
        return str(reply.json()["message"])
    except (ValueError, KeyError, TypeError):
        return reply.text[:300]


def _settings(state: Path) -> dict[str, str]:
    """``config.properties`` as ``scripts/serve`` wrote it for this server."""
    path = state / "config.properties"
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise NoServerError(f"{path} is not there: no server has run with this state folder. {_START}") from error
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}
