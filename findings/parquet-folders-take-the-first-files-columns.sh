#!/usr/bin/env bash
# A folder of Parquet files of which a later one has a column more, as a table that grew: pandas 3.1.1 with pyarrow 26.0.1, and DuckDB
# 2.0.1, both read it with the first file's columns and leave the new one out without a word. The other way round, a column more in the
# first file, pandas fills it with None and DuckDB ends with an error. Both do it rightly when told: DuckDB by union_by_name, pyarrow.dataset by a
# schema of all files.
# Seen: new last: pandas a, DuckDB a; new first: pandas a b, DuckDB InvalidInputException; told: a b by both
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pandas==3.1.1 pyarrow==26.0.1 duckdb==2.0.1
cd "$folder"
venv/bin/python - <<"PY"
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

SHORT, LONG = pa.table({"a": [1]}), pa.table({"a": [2], "b": ["x"]})


def folder(name, first, second):
    Path(name).mkdir()
    pq.write_table(first, f"{name}/part-1.parquet")
    pq.write_table(second, f"{name}/part-2.parquet")
    return name


def by_pandas(name):
    return list(pd.read_parquet(name).columns)


def by_duckdb(name, more=""):
    try:
        return duckdb.sql(f"select * from read_parquet('{name}/*.parquet'{more})").df().columns.tolist()
    except duckdb.Error as error:
        return type(error).__name__


last, first = folder("last", SHORT, LONG), folder("first", LONG, SHORT)
whole = pa.unify_schemas([pq.read_schema(f"{last}/part-{n}.parquet") for n in (1, 2)])
seen = {
    "new last": (by_pandas(last), by_duckdb(last)),
    "new first": (by_pandas(first), by_duckdb(first)),
    "told": (ds.dataset(last, schema=whole).to_table().column_names, by_duckdb(last, ", union_by_name = true")),
}
expected = {
    "new last": (["a"], ["a"]),
    "new first": (["a", "b"], "InvalidInputException"),
    "told": (["a", "b"], ["a", "b"]),
}
assert seen == expected, f"changed: {seen}"
for what, (one, other) in seen.items():
    print(f"{what}: pandas or pyarrow {one}, DuckDB {other}")
PY
