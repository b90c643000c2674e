"""What is written down of a trial in the state folder: what the front door follows (:mod:`exchange.trial`), what was
asked of who watches it, and its figures so far."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from exchange.trial import TRIAL_FILE, Trial, read_trial
from handler.files import write_atomic
from rollout.errors import RolloutError
from rollout.state import Deployed, now

ORDER_FILE, FIGURES_FILE = "trial-order.json", "trial-figures.json"
PROMOTE, STOP = "promote", "stop"


@dataclass(frozen=True)
class Order:
    """``do``: :data:`PROMOTE`, :data:`STOP`, or a share in percent as text; ``trial``: the one that is meant."""

    id: str
    trial: str
    do: str


def begin(state: Path, kind: str, subject: Deployed, share: float, by: str) -> Trial:
    """Puts ``subject`` on trial: from now on the front door gives it its share."""
    _sweep(state)
    time = now()
    trial = Trial(secrets.token_hex(6), kind, subject.version, subject.sha256, share, by, time, time)
    write(state, trial)
    return trial


def write(state: Path, trial: Trial) -> None:
    """Whole or not at all."""
    write_atomic(state / TRIAL_FILE, trial.written())


def grown(state: Path, trial: Trial, share: float, steps: tuple[float, ...], every_seconds: float) -> Trial:
    """``trial`` with another share, written down."""
    entered = trial.entered if share == trial.share else now()
    trial = replace(trial, share=share, entered=entered, steps=steps, every_seconds=every_seconds)
    write(state, trial)
    return trial


def current(state: Path) -> Trial | None:
    """What is on trial, or was last. Raises :class:`RolloutError` for a file that is not ours."""
    try:
        return read_trial(state)
    except ValueError as error:
        raise RolloutError(
            f"{state / TRIAL_FILE} is not a trial: {error}. Remove it; its version gets no share."
        ) from error


def end(state: Path, why: str) -> None:
    """No request goes to the version on trial any more; nothing changes where none is. A file that cannot be read, of
    which the front door takes nothing either, is removed."""
    try:
        trial = read_trial(state)
    except ValueError:
        (state / TRIAL_FILE).unlink(missing_ok=True)
        return
    if trial is not None and not trial.ended:
        write(state, replace(trial, share=0.0, steps=(), ended=why))
    _sweep(state)


def order(state: Path, trial: Trial, do: str) -> Order:
    """Writes down what is asked of who watches ``trial``."""
    asked = Order(secrets.token_hex(6), trial.id, do)
    write_atomic(state / ORDER_FILE, json.dumps(asdict(asked)).encode())
    return asked


def taken(state: Path, trial: Trial) -> Order | None:
    """What was asked about ``trial``, once."""
    path = state / ORDER_FILE
    try:
        asked = Order(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        asked = None
    path.unlink(missing_ok=True)
    return asked if asked and asked.trial == trial.id else None


def tell(state: Path, figures: Mapping[str, Any]) -> None:
    """Writes the figures so far down, for ``scripts/deploy status``, and what became of the last order."""
    write_atomic(state / FIGURES_FILE, json.dumps(figures).encode())


def told(state: Path) -> dict[str, Any]:
    """What :func:`tell` wrote; nothing where there is no such file."""
    with suppress(FileNotFoundError, ValueError):
        found = json.loads((state / FIGURES_FILE).read_bytes())
        if isinstance(found, dict):
            return found
    return {}


def _sweep(state: Path) -> None:
    for path in (*state.glob("trial-*.jsonl"), state / ORDER_FILE, state / FIGURES_FILE):
        path.unlink(missing_ok=True)
