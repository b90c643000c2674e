"""``report.html``: what is in the table of a version, in counts and pictures, without a name or a path."""

from __future__ import annotations

import base64
import heapq
import html
import io
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bulk.book import LeftOut
from bulk.names import text_of
from bulk.places import Destination
from bulk.table import Tables, rows_of
from handler.answer import NOTICE

REPORT, LEFT_OUT = "report.html", "left-out.parquet"
SLOWEST = 10
BINS_A_TENFOLD = 4
COLUMNS = ["input_sha256", "verdict", "error_code", "trust_reasons", "tumor_volume_ml", "tumor_coverage_percent",
           "seconds", "slices", "bytes", "uncertain", "format"]  # fmt: skip
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1,h2{line-height:1.2}table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{border-bottom:1px solid #d0d7de;padding:.25rem .75rem;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.85em;word-break:break-all}
.notice{border:1px solid #9a6700;background:#fff8e6;padding:.5rem .75rem}svg text{font-size:11px;fill:#1b1f24}
.gallery{display:flex;flex-wrap:wrap;gap:1rem}.gallery img{max-width:14rem;display:block}
"""


@dataclass
class Spread:
    """Values in bins of equal ratio, four a tenfold; those that are not above 0 apart."""

    bins: Counter[int] = field(default_factory=Counter)
    zeros: int = 0

    def add(self, value: float | None) -> None:
        if value is None:
            return
        if value > 0:
            self.bins[math.floor(BINS_A_TENFOLD * math.log10(value))] += 1
        else:
            self.zeros += 1


@dataclass
class Counts:
    """Over all rows of a version, gathered one row at a time."""

    rows: int = 0
    slices: int = 0
    bytes: int = 0
    seconds: float = 0.0
    verdicts: Counter[str] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    uncertain: int = 0
    volumes: Spread = field(default_factory=Spread)
    coverage: Spread = field(default_factory=Spread)
    times: Spread = field(default_factory=Spread)
    slowest: list[tuple[float, str, int]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        self.rows += 1
        self.slices += row["slices"] or 0
        self.bytes += row["bytes"]
        self.seconds += row["seconds"]
        self.verdicts[row["verdict"] or "none"] += 1
        self.formats[row["format"] or "none"] += 1
        if row["error_code"]:
            self.refused[row["error_code"]] += 1
        self.unknown.update(row["trust_reasons"][:1])
        self.uncertain += bool(row["uncertain"])
        self.volumes.add(row["tumor_volume_ml"])
        if row["tumor_volume_ml"] is None:
            self.coverage.add(row["tumor_coverage_percent"])
        self.times.add(row["seconds"])
        entry = (row["seconds"], str(row["input_sha256"]), row["slices"] or 0)
        (heapq.heappush if len(self.slowest) < SLOWEST else heapq.heappushpop)(self.slowest, entry)


@dataclass(frozen=True)
class Shown:
    """A picture of the gallery, PNG."""

    sha256: str
    caption: str
    png: bytes


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def cell(kind: str, number: int, value: object) -> str:
        numeric = ' class="n"' if number else ""
        return f"<{kind}{numeric}>{html.escape(str(value))}</{kind}>"

    lines = ["".join(cell("th", number, name) for number, name in enumerate(head))]
    lines += ["".join(cell("td", number, value) for number, value in enumerate(row)) for row in rows]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>" if len(lines) > 1 else "<p>None.</p>"


def _bars(spread: Spread, unit: str) -> str:
    """A histogram as SVG; each bin named by where it begins."""
    if not spread.bins:
        return "<p>None.</p>"
    low, high = min(spread.bins), max(spread.bins)
    most, width, height = max(spread.bins.values()), 28, 120
    parts = []
    for place, number in enumerate(range(low, high + 1)):
        count = spread.bins[number]
        tall = round(height * count / most) if count else 0
        x, begin = place * width, 10 ** (number / BINS_A_TENFOLD)
        parts.append(f'<rect x="{x + 2}" y="{height - tall + 14}" width="{width - 4}" height="{tall}" fill="#0969da"/>')
        if count:
            parts.append(f'<text x="{x + 4}" y="{height - tall + 11}">{count}</text>')
        parts.append(
            f'<text x="{x + 4}" y="{height + 24}" transform="rotate(60 {x + 4} {height + 24})">{begin:.3g}</text>'
        )
    size = f'width="{(high - low + 1) * width + 40}" height="{height + 70}"'
    zeros = f"<p>{spread.zeros} with 0 {html.escape(unit)}.</p>" if spread.zeros else ""
    return f'<svg {size} role="img" aria-label="histogram, {html.escape(unit)}">{"".join(parts)}</svg>{zeros}'


def _counted(counts: Mapping[str, int], head: str) -> str:
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return _table((head, "scans"), ordered)


def page(version: str, counts: Counts, left_out: Mapping[str, int], gallery: Sequence[Shown] = ()) -> str:
    """The report. Scans are named by digest alone."""
    totals = [
        ("scans in the table", counts.rows),
        ("slices", counts.slices),
        ("with an error code", sum(counts.refused.values())),
        ("masks that the model doubts", counts.uncertain),
        ("GB read", f"{counts.bytes / 1e9:.2f}"),
        ("hours of work, all workers together", f"{counts.seconds / 3600:.2f}"),
    ]
    slowest = [(f"{seconds:.2f}", slices, sha256) for seconds, sha256, slices in sorted(counts.slowest, reverse=True)]
    parts = [
        f"<h1>BrainSeg {html.escape(version)}: {counts.rows} scans</h1>",
        f'<p class="notice">{NOTICE}</p>',
        _table(("", ""), totals),
        f"<h2>Verdicts</h2>{_counted(counts.verdicts, 'verdict')}",
        f"<h2>Refused, by reason</h2>{_counted(counts.refused, 'code')}",
        f"<h2>Not of the kind that the model knows, by main reason</h2>{_counted(counts.unknown, 'reason')}",
        f"<h2>Listed, but no scan of this run</h2>{_counted(left_out, 'reason')}",
        f"<p>Which: <code>{LEFT_OUT}</code>.</p>" if left_out else "",
        f"<h2>Formats</h2>{_counted(counts.formats, 'format')}",
        f"<h2>Tumour volume of volumes, ml</h2>{_bars(counts.volumes, 'ml')}",
        f"<h2>Tumour coverage of pictures, %</h2>{_bars(counts.coverage, '%')}",
        f"<h2>Seconds a scan</h2>{_bars(counts.times, 's')}",
        f"<h2>The slowest</h2>{_table(('seconds', 'slices', 'input digest'), slowest)}",
    ]
    if gallery:
        parts.append('<h2>The largest tumours</h2><div class="gallery">')
        for one in gallery:
            picture = base64.b64encode(one.png).decode()
            caption = f"{html.escape(one.caption)}<br><code>{one.sha256[:16]}</code>"
            parts.append(
                f'<figure><img alt="" src="data:image/png;base64,{picture}"><figcaption>{caption}</figcaption></figure>'
            )
        parts.append("</div>")
    head = f'<meta charset="utf-8"><title>BrainSeg {html.escape(version)}</title><style>{STYLE}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}<p>{NOTICE}</p></body></html>\n"


def counted(destination: Destination, tables: Tables) -> Counts:
    """Over the whole table of a version, part by part."""
    counts = Counts()
    for row in rows_of(destination, tables.every(), COLUMNS):
        counts.add(row)
    return counts


def write_report(
    destination: Destination,
    tables: Tables,
    version: str,
    left_out: Mapping[str, int],
    gallery: Sequence[Shown] = (),
) -> None:
    """Raises ``OSError``."""
    text = page(version, counted(destination, tables), left_out, gallery)
    destination.write(REPORT, text.encode())


def write_left_out(destination: Destination, left: Iterable[LeftOut]) -> None:
    """Which names were left out and why, as Parquet: some thousands of rows a row group. Raises ``OSError``."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("path", pa.string()), ("reason", pa.string())])
    buffer = io.BytesIO()
    with pq.ParquetWriter(buffer, schema, compression="zstd") as writer:
        rows: list[dict[str, str]] = []
        for one in left:
            rows.append({"path": text_of(one.address), "reason": one.reason})
            if len(rows) == 4096:
                writer.write_table(pa.Table.from_pylist(rows, schema=schema))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, schema=schema))
    destination.write(LEFT_OUT, buffer.getvalue())
