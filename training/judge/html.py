"""Self-contained HTML pages of reports: text, tables and inline pictures, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;color:#1a202c}
table{border-collapse:collapse}td,th{padding:.25em .7em;border-bottom:1px solid #e2e8f0;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}figure{display:inline-block;margin:.4em}
figcaption{font-size:.85em;color:#4a5568}.leak{color:#c53030;font-weight:bold;font-size:1.2em}"""


def page(title: str, parts: Sequence[str]) -> str:
    """A whole HTML document around `parts`, which are HTML already."""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
        f"<h1>{escape(title)}</h1>{''.join(parts)}</html>\n"
    )


def picture(source: str, caption: str, width: int | None = None) -> str:
    """A figure of an inline picture (a data URL) with its caption, which is also its alternative text."""
    size = f' width="{width}"' if width else ""
    text = escape(caption)
    return f'<figure><img src="{source}" alt="{text}"{size}><figcaption>{text}</figcaption></figure>'


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """An HTML table; numbers are set right."""
    body = "".join(f"<tr>{''.join(_cell(value) for value in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, (int, float)):
        return f'<td class="n">{value if isinstance(value, int) else format(value, ".3f")}</td>'
    return f"<td>{escape('-' if value is None else str(value))}</td>"
