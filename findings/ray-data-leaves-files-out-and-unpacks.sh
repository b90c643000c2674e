#!/usr/bin/env bash
# ray.data.read_binary_files of Ray 2.60.0 leaves out names that begin with "_" or "." when it lists a folder (named one by one they are
# read), hands over x.nii.gz unpacked (so a digest of the bytes is not the file's, and a reader that goes by the name fails), and a path
# named twice is two rows. Nothing is said of any of it. List by yourself, hand over paths, and compare with what came back.
# Seen: of a.nii.gz _b.nii .c.nii d.nii: a.nii.gz (unpacked) and d.nii; of d.nii d.nii _b.nii: all three
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check 'ray[data]==2.60.0' pandas==3.1.1 pyarrow==26.0.1 numpy==2.4.6
cd "$folder"
cat > read.py <<"PY"
import gzip
import pathlib

import ray

folder = pathlib.Path("scans").absolute()
folder.mkdir()
(folder / "a.nii.gz").write_bytes(gzip.compress(b"content"))
for name in ("_b.nii", ".c.nii", "d.nii"):
    (folder / name).write_bytes(b"content")
ray.init(num_cpus=1, include_dashboard=False, logging_level="ERROR")


def read(paths):
    rows = ray.data.read_binary_files(paths, include_paths=True).take_all()
    assert all(row["bytes"] == b"content" for row in rows), "changed: packed"
    return sorted(pathlib.Path(row["path"]).name for row in rows)


listed = read(str(folder))
named = read([str(folder / name) for name in ("d.nii", "d.nii", "_b.nii")])
ray.shutdown()
assert listed == ["a.nii.gz", "d.nii"] and named == ["_b.nii", "d.nii", "d.nii"], f"changed: {listed} {named}"
print("listed:", *listed, "(unpacked); named:", *named)
PY
HOME="$folder" RAY_USAGE_STATS_ENABLED=0 venv/bin/python read.py 2>log || { tail -5 log; exit 1; }
