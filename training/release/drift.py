"""What a network's figures look like on the validation slices: the block ``trust.drift`` of a card, against which the
front door holds what it sees."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from handler.drift import FORMAT, HEADER
from handler.files import write_atomic
from handler.pipeline import Model, answer
from training.data.cases import Pair


class DriftError(ValueError):
    """A slice that cannot be answered, or a file that cannot be added to."""


def reference(
    model: Model, pairs: Sequence[Pair], side: str, advance: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """The block of ``model`` over the slices of ``pairs``, each sent as a clinic would send it, by itself and as its
    file is. Raises :class:`DriftError`."""
    total: dict[str, list[int]] = {}
    for pair in pairs:
        outcome = answer(model, {"body": pair.image.read_bytes()}, {"X-BrainSeg-Outputs": "none"})
        if HEADER not in outcome.answer.headers:
            raise DriftError(f"{pair.image.name}: no answer ({outcome.code})")
        for name, counts in json.loads(outcome.answer.headers[HEADER])["counts"].items():
            before = total.setdefault(name, [0] * len(counts))
            total[name] = [a + b for a, b in zip(before, counts, strict=True)]
        advance()
    return {
        "format": FORMAT,
        "side": side,
        "slices": len(pairs),
        "cases": len({pair.case for pair in pairs}),
        "created": datetime.now(UTC).date().isoformat(),
        "counts": total,
    }


def add_block(path: Path, block: dict[str, Any], name: str = "drift") -> None:
    """Writes ``block`` as ``name`` into the JSON file ``path`` of a trust block, beside what it holds already. Raises
    :class:`DriftError` or ``OSError``."""
    held = read_blocks(path) if path.exists() else {}
    write_atomic(path, (json.dumps({**held, name: block}, indent=1) + "\n").encode())


def read_blocks(path: Path) -> dict[str, Any]:
    """The blocks of a trust block by name. Raises :class:`DriftError` or ``OSError``."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        held = None
    if not isinstance(held, dict):
        raise DriftError(f"{path} is no JSON object; expected a trust block, or no file")
    return held
