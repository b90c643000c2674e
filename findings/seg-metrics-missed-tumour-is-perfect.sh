#!/usr/bin/env bash
# seg-metrics 1.2.8: a tumour that was missed altogether has hd95, hd and msd of 0.0, as good as a perfect mask, and a false alarm
# where there is none too; a wrong voxel far away gets 13 mm. So a model that finds nothing has the best mean distance. It says so for
# precision and recall in a log line, for distances nowhere. Count missed and false alarms beside it, and leave them out of the mean.
# Seen: perfect 0.0; missed 0.0; false alarm 0.0; one wrong voxel 13.0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check seg-metrics==1.2.8 numpy==2.4.6 pandas==3.1.1
cd "$folder"
venv/bin/python - <<"PY"
import numpy as np
from seg_metrics import seg_metrics

tumour, nothing, wrong = (np.zeros((10, 20, 20), np.uint8) for _ in range(3))
tumour[3:6, 5:10, 5:10] = 1
wrong[0, 0, 0] = 1


def hd95(found, truth):
    rows = seg_metrics.write_metrics(
        labels=[1], gdth_img=truth, pred_img=found, csv_file=None, metrics=["dice", "hd95", "hd", "msd"], spacing=(1, 1, 1)
    )
    values = {name: float(rows[0][name][0]) for name in ("hd95", "hd", "msd")}
    assert found is wrong or set(values.values()) == {0.0}, f"changed: {values}"
    return round(values["hd95"], 1)


seen = [hd95(*pair) for pair in ((tumour, tumour), (nothing, tumour), (tumour, nothing), (wrong, tumour))]
assert seen == [0.0, 0.0, 0.0, 13.0], f"changed: {seen}"
print("perfect {}; missed {}; false alarm {}; one wrong voxel {}".format(*seen))
PY
