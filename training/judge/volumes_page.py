"""The page and the tables of a report of several classes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from training.judge.html import page, table
from training.judge.page import origin_line

NOTICE = "Research use only. Not a medical device."


def figure_rows(figures: Sequence[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Name, kind, mean Dice, mean HD95, patients, cases, missed, false."""
    keys = ("name", "kind", "dice", "hd95_mm", "patients", "cases", "missed", "false")
    return [tuple(figure[key] for key in keys) for figure in figures]


def case_rows(cases: Sequence[dict[str, Any]]) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Head and rows: Dice of each part of each case."""
    names = [part["name"] for part in cases[0]["parts"]]
    return ["case", "patient", *names], [
        (row["case"], row["patient"], *(part["dice"] for part in row["parts"])) for row in cases
    ]


def volumes_page(report: dict[str, Any]) -> str:
    """One self-contained page of what :func:`training.judge.volumes.volumes_json` says; no picture of a scan."""
    head, rows = case_rows(report["cases"])
    parts = [
        f"<p>{escape(report['model'])} on the {escape(report['side'])} side. {NOTICE}</p>",
        f"<p>{escape(origin_line(report['origin']))}</p>",
        f"<p>{escape(report['policy'])}.</p>",
        "<h2>Figures</h2>",
        table(
            ("part", "kind", "Dice", "HD95 mm", "patients", "cases", "missed", "false"), figure_rows(report["figures"])
        ),
        "<h2>Dice of each case</h2>",
        table(head, rows),
    ]
    return page(f"Evaluation of {report['model']}", parts)
