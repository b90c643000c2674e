"""The page of a comparison: figures with their differences, and each plot of the first beside that of the second."""

from __future__ import annotations

from html import escape

from training.judge import plots
from training.judge.compare import Comparison, Judged
from training.judge.figures import Difference
from training.judge.html import page, picture, table
from training.judge.page import origin_line, read_log

MOST_NAMED = 20


def interval(figure: Difference) -> str | None:
    """Of the difference, with its signs."""
    if figure.low is None or figure.high is None:
        return None
    return f"{figure.low:+.3f} to {figure.high:+.3f}"


def who(judged: Judged) -> str:
    """Which training it is, in a line."""
    return f"{judged.name}: {origin_line(judged.origin)}"


def only_lines(found: Comparison) -> list[str]:
    """What one of both alone judged, a line each; none where they judged the same."""
    lines = []
    for which, only in zip(("first", "second"), found.only, strict=True):
        if only:
            more = f" and {len(only) - MOST_NAMED} more" if len(only) > MOST_NAMED else ""
            lines.append(f"left out, for only the {which} has them: {', '.join(only[:MOST_NAMED])}{more}")
    return lines


def compare_page(found: Comparison) -> str:
    """A self-contained HTML page."""
    parts = [f"<p>first: {escape(who(found.first))}</p>", f"<p>second: {escape(who(found.second))}</p>"]
    parts += [f"<p>{escape(line)}</p>" for line in only_lines(found)]
    rows = [(f.name, f.first, f.second, f.difference, interval(f), f.slices, f.cases, f.policy) for f in found.figures]
    head = ("figure", "first", "second", "difference", "95 % interval over cases", "slices", "cases", "policy")
    parts += ["<h2>Figures</h2>", table(head, rows), "<h2>Plots, the first beside the second</h2>", *_plots(found)]
    cases = [(case, slices, a, b, b - a) for case, slices, a, b in found.cases]
    parts += ["<h2>Cases</h2>", table(("case", "slices", "first", "second", "difference"), cases)]
    parts.append("<p>Research use only. Not a medical device.</p>")
    return page(f"{found.first.name} and {found.second.name}, {found.first.side}", parts)


def _plots(found: Comparison) -> list[str]:
    sides = (("first", found.first), ("second", found.second))
    scores = [[pair[which] for pair in found.pairs] for which in (0, 1)]
    names = [case for case, *_ in found.cases]
    dice = {"first": [row[2] for row in found.cases], "second": [row[3] for row in found.cases]}
    drawn = [
        picture(plots.inline(plots.bars_side_by_side(names, dice, "case", "Dice over the whole case")), "Dice by case"),
        picture(plots.inline(plots.paired_dice(found.pairs)), "Dice of each slice with tumour"),
        "<br>",
    ]
    logs = [(which, read_log(judged.log)) for which, judged in sides if judged.log]
    drawn += [picture(plots.inline(plots.training_curves(rows)), f"Training, {which}") for which, rows in logs if rows]
    drawn.append("<br>")
    for draw, caption in ((plots.dice_by_size, "Dice against lesion size"), (plots.roc, "Slice has tumour")):
        for (which, _), own in zip(sides, scores, strict=True):
            drawn.append(picture(plots.inline(draw(own)), f"{caption}, {which}"))
        drawn.append("<br>")
    return drawn
