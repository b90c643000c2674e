"""A scan's line in the table: what was found, or why nothing was. The one place that names the columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import Field, asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

NOT_ASSESSED = "not_assessed"
UNREADABLE, NOT_WRITTEN, LOST, SLOW = "unreadable", "not_written", "worker_lost", "too_slow"
# Codes after which the next run tries again: the scan was not to blame, or it cannot be known.
AGAIN = frozenset({UNREADABLE, NOT_WRITTEN, "internal_error", "out_of_memory"})


@dataclass(frozen=True)
class LabelFound:
    """One label of a mask: ``value`` in it, 1 to n. ``volume_ml``: of volumes; ``max_probability``: 0..1."""

    value: int
    name: str
    pixels: int
    volume_ml: float | None
    max_probability: float


@dataclass(frozen=True)
class RegionFound:
    """A union of labels; figures as of a label."""

    name: str
    pixels: int
    volume_ml: float | None
    max_probability: float


@dataclass(frozen=True)
class Row:
    """Null is what is unknown, or what does not exist of such a scan. Nothing in a row comes from inside a file but
    numbers; ``path`` is the caller's own."""

    input_sha256: str | None
    path: str
    files: int
    bytes: int
    version: str
    model_digest: str
    error_code: str | None
    error_detail: str | None
    seconds: float
    verdict: str | None = None
    format: str | None = None
    slices: int | None = None
    height: int | None = None
    width: int | None = None
    tumor_pixels: int | None = None
    total_pixels: int | None = None
    tumor_coverage_percent: float | None = None
    max_probability: float | None = None
    tumor_volume_ml: float | None = None
    lesions: int | None = None
    threshold: float | None = None
    min_lesion_pixels: int | None = None
    trust_accepted: bool | None = None
    trust_score: float | None = None
    trust_reasons: tuple[str, ...] = ()
    uncertain: bool | None = None
    expected_dice: float | None = None
    tumor_volume_ml_low: float | None = None
    tumor_volume_ml_high: float | None = None
    warnings: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    model: str | None = None
    labels: tuple[LabelFound, ...] | None = None
    regions: tuple[RegionFound, ...] | None = None

    @property
    def again(self) -> bool:
        """Whether the next run tries the scan again; also one that was not read, as too large: it has no digest by
        which it would be known to be done."""
        return self.error_code in AGAIN or self.input_sha256 is None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


# Column -> what it means; its type is the field's. docs/bulk.md says the same.
MEANING = {
    "input_sha256": "of the file; of several files, of their sorted digests, a line each, in a case behind its "
    "sequence; null where it cannot be read",
    "path": "where the scan (its first file) lies",
    "files": "how many files make the scan",
    "bytes": "of all of them",
    "version": "of the model",
    "model_digest": "`sha256:…` of its weights",
    "error_code": "null, or a code of the contract, `unreadable`, `not_written`, `worker_lost`, `too_slow`",
    "error_detail": "the code in words",
    "seconds": "from reading to written results",
    "verdict": "`tumor_detected`, `no_tumor_detected`, `not_assessed`; null with another error",
    "format": "as the answer has it",
    "slices": "of the grid that the mask is on",
    "height": "rows",
    "width": "columns",
    "tumor_pixels": "in all slices",
    "total_pixels": "in all slices",
    "tumor_coverage_percent": "0..100",
    "max_probability": "0..1",
    "tumor_volume_ml": "of volumes",
    "lesions": "how many, of volumes",
    "threshold": "0..1",
    "min_lesion_pixels": "smaller components are dropped",
    "trust_accepted": "whether the model knows such scans; null without a gate",
    "trust_score": "0..1",
    "trust_reasons": "codes, the main one first",
    "uncertain": "whether the model doubts its mask",
    "expected_dice": "0..1",
    "tumor_volume_ml_low": "of the interval",
    "tumor_volume_ml_high": "of the interval",
    "warnings": "codes",
    "outputs": "files, from DEST",
    "model": "its name; null in rows of before there were others, which are of `brainseg`",
    "labels": "of a model that tells parts of a tumour apart, each of them in the order of its values",
    "regions": "of such a model, unions of labels",
}
# Columns that tables of before lack. New ones come last, here and in :class:`Row`: who reads the others goes on.
LATER = frozenset({"model", "labels", "regions"})
NAMES = tuple(one.name for one in fields(Row))
STRUCTS = (LabelFound, RegionFound)


def schema() -> pa.Schema:
    """The table's, in the order of :class:`Row`."""
    import pyarrow as pa

    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}

    def column(one: Field[Any], inside: bool = False) -> pa.Field:
        kind, _, null = str(one.type).partition(" | ")
        return pa.field(one.name, kinds[kind], nullable=inside or bool(null))

    kinds |= {struct.__name__: pa.struct([column(one, inside=True) for one in fields(struct)]) for struct in STRUCTS}
    kinds |= {f"tuple[{name}, ...]": pa.list_(kinds[name]) for name in ("str", *(one.__name__ for one in STRUCTS))}
    return pa.schema([column(one) for one in fields(Row)])


def table(rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Rows as :meth:`Row.as_json` gives them."""
    import pyarrow as pa

    return pa.Table.from_pylist([dict(row) for row in rows], schema=schema())
