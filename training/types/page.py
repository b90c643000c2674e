"""The figures of a classifier as Markdown, written between two marks of a page that says the rest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from training.judge.marks import put_between
from training.types.compare import Compared
from training.types.figures import Figure, Judged, confusion, probabilities
from training.types.heat import Look

BEGIN, END = "<!-- figures: written by scripts/types-evaluate -->", "<!-- end of the figures -->"


def section(title: str, judged: Judged, figures: Sequence[Figure]) -> str:
    """One group of runs: its figures and its confusion matrix."""
    patients = len(set(judged.owner))
    parts = len(set(judged.part.tolist()))
    lines = [f"### {title}", "", f"{len(judged.names):,} slices of {patients} patients, {parts} held-out part(s).", ""]
    lines += ["| figure | value (95 % interval) |", "|---|---|", *(f"| {f.name} | {f} |" for f in figures), ""]
    counts = confusion(judged.truth, probabilities(judged).argmax(axis=1), len(judged.classes))
    lines += [f"| truth, then found as | {' | '.join(judged.classes)} |", "|---" * (len(judged.classes) + 1) + "|"]
    lines += [f"| {kind} | {' | '.join(map(str, row))} |" for kind, row in zip(judged.classes, counts, strict=True)]
    return "\n".join([*lines, ""])


def compared_section(first: str, second: str, compared: Compared) -> str:
    """What sets two recipes apart, on what both have held out."""
    lines = [
        f"#### {second} less {first}",
        "",
        f"{compared.slices:,} slices of {compared.patients} patients that both held out, who are drawn for both alike.",
        "",
        f"| figure | {first} | {second} | difference (95 % interval) |",
        "|---|---|---|---|",
        *(f"| {one.name} | {one.first:.3f} | {one.second:.3f} | {one} |" for one in compared.differences),
    ]
    return "\n".join([*lines, ""])


def heat_section(looks: Sequence[Look]) -> str:
    """Where the networks look, by class."""
    lines = [
        "### Where it looks",
        "",
        "Grad-CAM of the right class, held-out slices. Evenly spread heat would score the box's share of the picture;",
        "heat in the box's own cells alone would score the most, for the map is coarse.",
        "",
        "| class | slices | heat inside the box | the box's share | the most there could be | hottest point inside |",
        "|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(one.kind for one in looks):
        own = [one for one in looks if one.kind == kind]
        warm = [one.heat for one in own if one.heat is not None]
        lines.append(
            f"| {kind} | {len(own)} | {np.mean(warm) if warm else 0:.3f} | {np.mean([one.area for one in own]):.3f} | "
            f"{np.mean([one.most for one in own]):.3f} | "
            f"{np.mean([one.hit for one in own]):.3f} |"
        )
    return "\n".join([*lines, ""])


def put(page: str, made: str) -> str:
    """`page` with `made` between its marks, at its end if it has none yet."""
    return put_between(page, made, BEGIN, END)
