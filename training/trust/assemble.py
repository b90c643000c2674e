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
from handler.engines import open_engine
from handler.files import write_atomic
from handler.resources import plan
from handler.trust.gate import WEIGHTS_FILE, settings_of
from handler.trust.quality import estimator_of
from training.data.cases import Pair, find_pairs
from training.trust.collect import Progress, groups, pools
from training.trust.consequence import consequences, segmenting
from training.trust.figures import figures
from training.trust.fit import Fitted, fit

STEPS = 1300  # of fitting, 144 pictures each
EVERY = 8  # of the training cases, by name, one chooses the threshold where the release names none that do
BESIDE = ("LICENSE", "report.json", "report.html")


@dataclass(frozen=True)
class Order:
    """``release``: a folder with weights and card; ``version`` and ``out``: of what is made of it. ``elsewhere``: as
    :func:`training.trust.collect.pools` has it. ``each``: pictures of a kind. ``steps``: of fitting. ``blocks``: more
    of the card's trust by name, such as ``quality``."""

    release: Path
    version: str
    out: Path
    elsewhere: Path | None = None
    seed: int = 2026
    each: int = 120
    steps: int = STEPS
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
    fitted, given = _fitted(order, sides, card, progress)
    order.out.mkdir(parents=True, exist_ok=True)
    for name in (card.weights.file, *(record.file for record in card.trust_records), *BESIDE):
        if (order.release / name).is_file():
            shutil.copyfile(order.release / name, order.out / name)
    write_atomic(order.out / WEIGHTS_FILE, fitted.content)
    block = settings_of(fitted.gate, FileRecord.of(order.out / WEIGHTS_FILE))
    block |= {"data": _told(sides, given, order)}
    # The test cases and what else judges are looked at here, when all is fixed.
    judging = groups("judge", sides["judge"], order.elsewhere, card.input, order.seed, order.each, progress)
    block["figures"] = figures(fitted.gate, judging)
    segment = segmenting(open_engine("torch", card, order.out, plan().threads), card)
    block["consequences"] = consequences(fitted.gate, judging, segment)
    made = card.with_changes(
        version=order.version,
        trust={**card.trust, **order.blocks, "gate": block},
        created=datetime.now(UTC).replace(microsecond=0).isoformat(),
        known_answers=(),
    )
    made.write(order.out)
    return made


def _fitted(
    order: Order, sides: Mapping[str, Sequence[Pair]], card: ModelCard, progress: Progress
) -> tuple[Fitted, dict[str, int]]:
    """The gate, and how many pictures of which kind it was fitted on."""
    known = pools(sides["fit"], order.elsewhere, card.input, order.seed, order.each, progress)
    choosing = groups("validation", sides["validation"], order.elsewhere, card.input, order.seed, order.each, progress)
    fitted = fit(known, choosing, order.seed, order.steps, progress)
    return fitted, {pool.name: len(pool.pictures) for pool in known}


def _told(sides: Mapping[str, Sequence[Pair]], given: Mapping[str, int], order: Order) -> dict[str, Any]:
    """What the gate was fitted on, as the card says it."""
    return {
        "of_release": order.release.name,
        "seed": order.seed,
        "steps": order.steps,
        "cases": {role: sorted({pair.case for pair in pairs}) for role, pairs in sides.items() if role != "judge"},
        "fitted_on": dict(given),
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
