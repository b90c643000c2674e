"""Does this machine compute what the packaging machine computed? Known answers, asked of a version by name."""

from __future__ import annotations

from collections.abc import Mapping

import requests

from archive.known import difference
from handler.card import ModelCard
from rollout.check import Check
from rollout.server import TorchServe

ANSWER_SECONDS = 300.0


def ask(server: TorchServe, card: ModelCard, samples: Mapping[str, bytes], name: str) -> str:
    """What is wrong with the answer of ``card.version`` to the sample ``name``; empty when it is the known one."""
    known = next(known for known in card.known_answers if known["sample"] == name)
    try:
        reply = server.predict(samples[name], card.version, seconds=ANSWER_SECONDS)
        if not reply.ok:
            return f"{name}: status {reply.status_code}: {reply.text[:200]}"
        answer = reply.json()
        if answer["model"]["version"] != card.version:
            return f"{name}: version {answer['model']['version']} answered"
        wrong = difference(known, answer)
    except requests.Timeout:
        return f"{name}: no answer within {ANSWER_SECONDS:.0f} s"
    except (ValueError, KeyError, TypeError) as error:
        return f"{name}: the answer is not the contract's: {error!r}"
    return f"{name}: {wrong}" if wrong else ""


def check_parity(server: TorchServe, card: ModelCard, samples: Mapping[str, bytes]) -> Check:
    """Asks for every known answer, which warms the workers up too."""
    for name in samples:
        if wrong := ask(server, card, samples, name):
            return Check("known answers", "not as packaged", wrong, {"known_answers": len(samples)})
    return Check("known answers", f"{len(samples)} of {len(samples)} as packaged", "", {"known_answers": len(samples)})
