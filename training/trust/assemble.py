"""A release with a gate out of one without: the same weights under another version, the gate beside them, its figures
in the card."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from handler.card import CARD_FILE, FileRecord, ModelCard, read_card
from handler.files import write_atomic
from handler.trust.gate import WEIGHTS_FILE, settings_of, weights_of
from handler.trust.quality import estimator_of
from training.data.cases import Pair, find_pairs
from training.trust.collect import Group, Progress, collect
from training.trust.figures import figures
from training.trust.fit import fit

EVERY = 8  # of the training cases, by name, one chooses the threshold where the release names none that do
BESIDE = ("LICENSE", "report.json", "report.html")


@dataclass(frozen=True)
class Order:
    """``release``: a folder with weights and card; ``version`` and ``out``: of what is made of it. ``elsewhere``: as
    :func:`training.trust.collect.collect` has it. ``each``: pictures of a kind. ``blocks``: more of the card's trust by
    name, such as ``quality``."""

    release: Path
    version: str
    out: Path
    elsewhere: Path | None = None
    seed: int = 2026
    each: int = 120
    blocks: Mapping[str, Any] = field(default_factory=dict)


def sides_of(card: ModelCard) -> dict[str, list[str]]:
    """Cases by role: those that the threshold is chosen on are not fitted on, and the test cases judge."""
    data = card.data
    train, test = list(data.get("train", ())), list(data.get("test", ()))
    chosen = list(data.get("validation") or data.get("twin", {}).get("validation") or sorted(train)[::EVERY])
    return {"fit": [case for case in train if case not in chosen], "validation": chosen, "judge": test}


def _pairs(card: ModelCard, pairs: Sequence[Pair]) -> dict[str, Sequence[Pair]]:
    sides = sides_of(card)
    if not sides["fit"]:
        raise ValueError(f"the card of {card.version} names no training cases; a gate is fitted on those")
    return {role: [pair for pair in pairs if pair.case in set(cases)] for role, cases in sides.items()}


def assemble(order: Order, data: Path, progress: Progress) -> ModelCard:
    """Fits the gate for the release on the slices in ``data`` (kaggle_3m layout) and writes the new folder, the card
    last. Raises ``ValueError`` for an order that would change a release, or where the card's cases are not in ``data``;
    ``OSError``."""
    if (order.out / CARD_FILE).exists():
        raise ValueError(f"{order.out} holds a release already, and versions are never changed; give another folder")
    card = read_card(order.release)
    card.weights.verify(order.release)
    if order.version == card.version:
        raise ValueError(f"version {order.version} is that of {order.release}; a gate makes a new version")
    if "gate" in order.blocks:
        raise ValueError("the blocks hold a gate, and one is fitted here; leave it out")
    estimator_of(order.blocks)
    sides = _pairs(card, find_pairs(data).pairs)
    groups = collect(sides, order.elsewhere, card.input, order.seed, order.each, progress)
    gate = fit(groups, order.seed)
    content = weights_of(gate)
    order.out.mkdir(parents=True, exist_ok=True)
    for name in (card.weights.file, *(record.file for record in card.trust_records), *BESIDE):
        if (order.release / name).is_file():
            shutil.copyfile(order.release / name, order.out / name)
    write_atomic(order.out / WEIGHTS_FILE, content)
    block = settings_of(gate, FileRecord.of(order.out / WEIGHTS_FILE))
    block |= {"data": _told(sides, groups, order), "figures": figures(gate, groups)}
    made = card.with_changes(
        version=order.version,
        trust={**card.trust, **order.blocks, "gate": block},
        created=datetime.now(UTC).replace(microsecond=0).isoformat(),
        known_answers=(),
    )
    made.write(order.out)
    return made


def _told(sides: Mapping[str, Sequence[Pair]], groups: Sequence[Group], order: Order) -> dict[str, Any]:
    """What the gate was fitted on, as the card says it."""
    return {
        "of_release": order.release.name,
        "seed": order.seed,
        "cases": {role: sorted({pair.case for pair in pairs}) for role, pairs in sides.items() if role != "judge"},
        "fitted_on": {group.name: len(group.facts.values) for group in groups if group.role == "fit"},
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The card's figures as a Markdown table: of what is to be refused the share that is, of the rest that accepted."""
    lines = ["| kind | wanted | as wanted | of | seen in fitting |", "|---|---|---|---|---|"]
    for row in rows:
        count = row.get("cases", row["slices"])
        right = row["accepted"] if row["wanted"] == "accepted" else count - row["accepted"]
        wanted = "accepted" if row["wanted"] == "accepted" else f"refused, `{row['wanted']}`"
        unit = "cases" if "cases" in row else "slices"
        seen = "yes" if row["seen_in_fitting"] else "no"
        lines.append(f"| {row['kind']} | {wanted} | {100 * right / count:.1f} % | {count} {unit} | {seen} |")
    return "\n".join(lines)
