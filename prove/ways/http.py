"""TorchServe's own port, the front door's, and the Open Inference Protocol on it."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import requests

from prove.asking import session
from prove.server import Server
from prove.ways.way import LOST, OK, Reply

CLIENTS = 3
BUSY = (429, 503)  # with Retry-After: another try is what the contract asks for
Post = Callable[[bytes], requests.Response]


def code_of(reply: requests.Response) -> str:
    """The contract's code in an answer; the text's beginning where there is none."""
    if reply.ok:
        return OK
    try:
        told = reply.json()
    except ValueError:
        return f"no code: {reply.text[:60]!r}"
    if isinstance(told, dict) and isinstance(told.get("error"), str):  # as the Open Inference Protocol has it
        return str(told["error"].partition(":")[0])
    return str(told["code"]) if isinstance(told, dict) and "code" in told else f"no code: {str(told)[:60]}"


class HttpWay:
    """Sends by :data:`CLIENTS` clients at a time; a server that is busy is asked again."""

    kinds: tuple[str, ...] = ()

    def __init__(self, name: str, post: Post) -> None:
        self.name, self._post = name, post
        self._pool = ThreadPoolExecutor(CLIENTS)

    def send(self, scans: Sequence[bytes]) -> list[Reply]:
        """One reply a scan, in their order."""
        return list(self._pool.map(self._one, scans))

    def _one(self, scan: bytes) -> Reply:
        while True:
            try:
                reply = self._post(scan)
            except requests.RequestException as error:
                return Reply(0, f"{LOST}: {type(error).__name__}")
            if reply.status_code not in BUSY or "Retry-After" not in reply.headers:
                return Reply(reply.status_code, code_of(reply))
            time.sleep(float(reply.headers["Retry-After"]))

    def close(self) -> None:
        """Ends the clients."""
        self._pool.shutdown()


def torchserve(server: Server) -> HttpWay:
    """``POST /predictions/brainseg``."""
    headers = {**server.auth(), "Content-Type": "application/octet-stream", "X-BrainSeg-Outputs": "mask"}
    return HttpWay("TorchServe REST", lambda scan: session().post(server.url, data=scan, headers=headers, timeout=600))


def front_door(server: Server) -> HttpWay:
    """``POST /api/v1/segment``."""
    url, headers = f"{server.door}/api/v1/segment?outputs=mask", {"Content-Type": "application/octet-stream"}
    return HttpWay("front door REST", lambda scan: session().post(url, data=scan, headers=headers, timeout=600))


def open_inference(server: Server, model: str = "brainseg") -> HttpWay:
    """``POST /v2/models/brainseg/infer``, the scan as base64 in JSON."""
    url = f"{server.door}/v2/models/{model}/infer"

    def post(scan: bytes) -> requests.Response:
        tensor = {"name": "scan", "datatype": "BYTES", "shape": [1], "data": [base64.b64encode(scan).decode()]}
        asked = {"inputs": [tensor], "outputs": [{"name": "measurements"}]}
        return session().post(url, data=json.dumps(asked), headers={"Content-Type": "application/json"}, timeout=600)

    return HttpWay("v2 REST", post)
