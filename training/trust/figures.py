"""What a gate does to every kind of picture: shares with counts, by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from handler.trust.gate import Gate
from training.trust.collect import Group


def figures(gate: Gate, groups: Sequence[Group]) -> list[dict[str, Any]]:
    """A row a kind, each slice judged as one picture; and one for the cases as whole scans. ``empty``: slices to be
    accepted that show nothing, which have no say and are not among ``slices``."""
    rows = []
    for group in groups:
        empty = group.thumbs.blank if group.reason is None else np.zeros(len(group.thumbs), np.bool_)
        shown = np.flatnonzero(~empty)
        if not len(shown):
            continue
        judged = [gate.judge(group.thumbs.only([int(i)])).scan for i in shown]
        named = Counter(one.reasons[0] for one in judged if one.reasons)
        rows.append(
            {
                "kind": group.name,
                "wanted": group.reason or "accepted",
                "seen_in_fitting": group.seen,
                "slices": len(judged),
                "empty": int(empty.sum()),
                "accepted": sum(bool(one.accepted) for one in judged),
                "reasons": dict(named.most_common()),
            }
        )
        if group.cases is not None:
            rows.append(_cases(gate, group))
    return rows


def _cases(gate: Gate, group: Group) -> dict[str, Any]:
    cases = np.asarray(group.cases)
    judged = {case: gate.judge(group.thumbs.only(np.flatnonzero(cases == case))) for case in np.unique(cases)}
    refused = [one for trust in judged.values() for one in trust.slices if not one.accepted]
    return {
        "kind": "whole cases, as they are",
        "wanted": "accepted",
        "seen_in_fitting": True,
        "cases": len(judged),
        "accepted": sum(bool(trust.scan.accepted) for trust in judged.values()),
        "slices": len(cases),
        "slices_refused": len(refused),
        "reasons": dict(Counter(one.reasons[0] for one in refused)),
    }
