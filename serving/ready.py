"""When is a TorchServe ready? When every wanted worker is, and the known answers come back right: its own ``/ping``
says yes before any worker has loaded."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import requests

from archive.known import difference
from archive.store import MODEL_NAME
from exchange.session import open_session
from exchange.tokens import bearer
from handler.card import CARD_FILE, ModelCard, parse_card
from serving.torchserve import Places, Ports

POLL_SECONDS = 0.3
REQUEST_SECONDS = 300


class RefusedError(Exception):
    """A release does not start; the message is what its worker said."""


def workers_ready(places: Places, ports: Ports, version: str, model: str = MODEL_NAME) -> bool:
    """Whether all the workers that ``version`` should have are READY."""
    url = f"http://127.0.0.1:{ports.management}/models/{model}/{version}"
    try:
        with open_session() as session:
            reply = session.get(url, headers=bearer(places.key_file, "management"), timeout=10)
        described: dict[str, Any] = reply.json()[0] if reply.ok else {}
    except (requests.RequestException, OSError, ValueError, LookupError):
        return False
    workers = described.get("workers", [])
    return bool(workers) and len(workers) >= described["minWorkers"] and all(w["status"] == "READY" for w in workers)


def check_known_answers(
    places: Places, ports: Ports, version: str, archive_name: str, model: str = MODEL_NAME
) -> str | None:
    """Asks ``version`` for the known answers in its archive (a file name in the model store); what is wrong in words,
    None when all are right."""
    with zipfile.ZipFile(io.BytesIO((places.model_store / archive_name).read_bytes())) as archive:
        card: ModelCard = parse_card(archive.read(CARD_FILE).decode())
        samples = {known["sample"]: archive.read(f"samples/{known['sample']}") for known in card.known_answers}
    if not card.known_answers:
        return "the archive holds no known answers; package it again"
    url = f"http://127.0.0.1:{ports.inference}/predictions/{model}/{version}"
    for known in card.known_answers:
        headers = {**bearer(places.key_file, "inference"), "X-BrainSeg-Outputs": "none"}
        headers["Content-Type"] = "application/octet-stream"
        with open_session() as session:
            reply = session.post(url, data=samples[known["sample"]], headers=headers, timeout=REQUEST_SECONDS)
        if not reply.ok:
            return f"{known['sample']}: status {reply.status_code}: {reply.text[:300]}"
        if wrong := difference(known, reply.json()):
            return f"{known['sample']}: {wrong}"
    return None


def wait_ready(
    places: Places,
    ports: Ports,
    archives: Mapping[str, str],
    alive: Callable[[], bool],
    refusal: Callable[[], str],
    seconds: float,
    model: str = MODEL_NAME,
) -> None:
    """Returns when every version of ``archives`` gives its known answers. Raises ``RuntimeError`` when TorchServe ends
    (``alive`` says no), when ``seconds`` pass, or when an answer is wrong; :class:`RefusedError` when a release does
    not start, as soon as ``refusal`` says why."""
    deadline = time.monotonic() + seconds
    waiting = list(archives)
    while waiting:
        if not alive():
            raise RuntimeError("TorchServe ended while it was starting")
        if reason := refusal():
            raise RefusedError(reason)
        if time.monotonic() > deadline:
            raise RuntimeError(f"the workers of version {waiting[0]} were not ready after {seconds:.0f} s")
        if workers_ready(places, ports, waiting[0], model):
            waiting.pop(0)
        else:
            time.sleep(POLL_SECONDS)
    for version, archive in archives.items():
        if wrong := check_known_answers(places, ports, version, archive, model):
            raise RuntimeError(f"version {version} does not give its known answers: {wrong}")


def wait_front_door(url: str, alive: Callable[[], bool], seconds: float) -> None:
    """Returns when the front door at ``url`` says it is ready. Raises ``RuntimeError`` when it ends or
    ``seconds`` pass."""
    deadline = time.monotonic() + seconds
    reason = "no answer"
    while alive() and time.monotonic() < deadline:
        try:
            with open_session() as session:
                reply = session.get(f"{url}readyz", timeout=10)
            if reply.ok:
                return
            reason = reply.text[:300]
        except requests.RequestException:
            pass  # it does not listen yet
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"the front door is not ready: {reason}")
