#!/usr/bin/env bash
# pydicom 3.0.2: an element keeps the validation mode that it was made with. Within disable_value_validation() a value set on an
# element that is there already is still checked, one set on a new element is not; and the warning goes to whoever listens. Who must
# not check values out of files from elsewhere has to delete the element first.
# Seen: an element from before: 1 warning; a new one: 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pydicom==3.0.2
cd "$folder"
venv/bin/python - <<"PY"
import warnings

from pydicom import config
from pydicom.dataset import Dataset

older, newer = Dataset(), Dataset()
older.PatientID = "short"
counts = []
for dataset in (older, newer):
    with warnings.catch_warnings(record=True) as heard, config.disable_value_validation():
        warnings.simplefilter("always")
        dataset.PatientID = "x" * 70  # LO holds 64
    counts.append(len(heard))
assert counts == [1, 0], f"changed: {counts}"
print(f"an element from before: {counts[0]} warning; a new one: {counts[1]}")
PY
