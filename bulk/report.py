"""``report.html``: what is in the table of a model's version, in counts and pictures, without a name or a path."""

from __future__ import annotations

import base64
import heapq
import html
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bulk.book import LeftOut
from bulk.names import text_of
from bulk.parts import Parts, section
from bulk.places import Destination
from bulk.release import Opened
from bulk.spread import Spread, bars, table
from bulk.table import Tables, rows_of
from handler.answer import NOTICE

REPORT, LEFT_OUT = "report.html", "left-out.parquet"
SLOWEST = 10
COLUMNS = ["input_sha256", "verdict", "error_code", "trust_reasons", "tumor_volume_ml", "tumor_coverage_percent",
           "seconds", "slices", "bytes", "uncertain", "format", "total_pixels", "labels", "regions",
           "warnings"]  # fmt: skip
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h1,h2{line-height:1.2}table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{border-bottom:1px solid #d0d7de;padding:.25rem .75rem;text-align:left;vertical-align:top}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}code{font-size:.85em;word-break:break-all}
.notice{border:1px solid #9a6700;background:#fff8e6;padding:.5rem .75rem}svg text{font-size:11px;fill:#1b1f24}
.swatch{display:inline-block;width:.8em;height:.8em;margin-right:.4em;border:1px solid #57606a}
.gallery{display:flex;flex-wrap:wrap;gap:1rem}.gallery img{max-width:14rem;display:block}
"""


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
    warnings: Counter[str] = field(default_factory=Counter)
    uncertain: int = 0
    volumes: Spread = field(default_factory=Spread)
    coverage: Spread = field(default_factory=Spread)
    times: Spread = field(default_factory=Spread)
    parts: Parts = field(default_factory=Parts)
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
        self.warnings.update(set(row["warnings"]))
        self.uncertain += bool(row["uncertain"])
        self.volumes.add(row["tumor_volume_ml"])
        if row["tumor_volume_ml"] is None:
            self.coverage.add(row["tumor_coverage_percent"])
        self.times.add(row["seconds"])
        self.parts.add(row)
        entry = (row["seconds"], str(row["input_sha256"]), row["slices"] or 0)
        (heapq.heappush if len(self.slowest) < SLOWEST else heapq.heappushpop)(self.slowest, entry)


@dataclass(frozen=True)
class Shown:
    """A picture of the gallery, PNG."""

    sha256: str
    caption: str
    png: bytes


def _counted(counts: Mapping[str, int], head: str) -> str:
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    return table((head, "scans"), ordered)


def page(opened: Opened, counts: Counts, left_out: Mapping[str, int], gallery: Sequence[Shown] = ()) -> str:
    """The report. Scans are named by digest alone."""
    name = html.escape(opened.name)
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
        f"<h1>{name}: {counts.rows} scans</h1>",
        f'<p class="notice">{NOTICE}</p>',
        table(("", ""), totals),
        f"<h2>Verdicts</h2>{_counted(counts.verdicts, 'verdict')}",
        f"<h2>Refused, by reason</h2>{_counted(counts.refused, 'code')}",
        f"<h2>Not of the kind that the model knows, by main reason</h2>{_counted(counts.unknown, 'reason')}",
        f"<h2>Warnings</h2>{_counted(counts.warnings, 'code')}",
        f"<h2>Listed, but no scan of this run</h2>{_counted(left_out, 'reason')}",
        f"<p>Which: <code>{LEFT_OUT}</code>.</p>" if left_out else "",
        f"<h2>Formats</h2>{_counted(counts.formats, 'format')}",
        f"<h2>Tumour volume of volumes, ml</h2>{bars(counts.volumes, 'ml')}",
        f"<h2>Tumour coverage of pictures, %</h2>{bars(counts.coverage, '%')}",
        section(counts.parts, opened.labels),
        f"<h2>Seconds a scan</h2>{bars(counts.times, 's')}",
        f"<h2>The slowest</h2>{table(('seconds', 'slices', 'input digest'), slowest)}",
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
    head = f'<meta charset="utf-8"><title>{name}</title><style>{STYLE}</style>'
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
    opened: Opened,
    left_out: Mapping[str, int],
    gallery: Sequence[Shown] = (),
) -> None:
    """Raises ``OSError``."""
    text = page(opened, counted(destination, tables), left_out, gallery)
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
