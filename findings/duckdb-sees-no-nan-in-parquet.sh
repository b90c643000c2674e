#!/usr/bin/env bash
# A table of scores with a NaN in it, as pyarrow 26.0.1 writes a NumPy column to Parquet. DuckDB 2.0.1 takes from the file's statistics,
# which by the format leave NaN out, that there is none: isnan() is false for the row that has it, so the guard "where not isnan(dice)"
# leaves the NaN in and the mean is NaN; max(dice) is 0.8, arg_max gives the case without a score. "Above 0.9" is no row by WHERE and
# one row by count's FILTER (NaN counts as the largest number). duckdb#25521 has the comparisons. pandas 3.1.1 writes NULL where it has
# NaN, and shows both files alike. Write NULL (pa.array(scores, from_pandas=True)), or load the file into a table before asking.
# Seen: file: isnan 0, mean without NaN nan, largest 0.8, of c, above 0.9 0 and 1; as a table 1, 0.6667, nan, c, 1 and 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pandas==3.1.1 pyarrow==26.0.1 duckdb==2.0.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

cases, dice = list("abcd"), np.array([0.5, 0.8, np.nan, 0.7])
pq.write_table(pa.table({"case": cases, "dice": dice}), "nan.parquet")
pq.write_table(pa.table({"case": cases, "dice": pa.array(dice, from_pandas=True)}), "null.parquet")
pd.DataFrame({"case": cases, "dice": dice}).to_parquet("pandas.parquet")
assert pq.read_table("nan.parquet")["dice"].null_count == 0, "changed: pyarrow writes NaN as NULL"
assert pq.read_table("pandas.parquet")["dice"].null_count == 1, "changed: pandas writes NaN as NaN"
assert pd.read_parquet("nan.parquet").equals(pd.read_parquet("pandas.parquet")), "changed: pandas shows the difference"


def asked(source, connection=None):
    """What is said of the scores: rows that are NaN, the others' mean, the largest, whose it is, above 0.9 by two ways."""
    one = (connection or duckdb.connect()).sql
    rows = one(f"select count(*) from {source} where isnan(dice)").fetchall()[0][0]
    mean = one(f"select avg(dice) from {source} where not isnan(dice)").fetchall()[0][0]
    largest = one(f"select max(dice) from {source}").fetchall()[0][0]  # alone, or it is not the statistics that answer
    best = one(f'select arg_max("case", dice) from {source}').fetchall()[0][0]
    where = one(f"select count(*) from {source} where dice > 0.9").fetchall()[0][0]
    counted = one(f"select count(*) filter (where dice > 0.9) from {source}").fetchall()[0][0]
    return [rows, str(round(mean, 4)), str(largest), best, where, counted]


table, plain = duckdb.connect(), duckdb.connect()
table.execute("create table scores as from 'nan.parquet'")
plain.execute("pragma disable_optimizer")
seen = {
    "file": asked("'nan.parquet'"),
    "NULL in the file": asked("'null.parquet'"),
    "table": asked("scores", table),
    "no optimizer": asked("'nan.parquet'", plain),
}
right = [1, "0.6667", "nan", "c", 1, 1]
expected = {
    "file": [0, "nan", "0.8", "c", 0, 1],
    "NULL in the file": [0, "0.6667", "0.8", "b", 0, 0],
    "table": right,
    "no optimizer": right,
}
assert seen == expected, f"changed: {seen}"
for what, (rows, mean, largest, best, where, counted) in seen.items():
    print(f"{what}: isnan {rows}, mean without NaN {mean}, largest {largest}, of {best},", end=" ")
    print(f"above 0.9 {where} and {counted}")
PY
