#!/usr/bin/env bash
# scikit-image 0.26.0: remove_small_objects(min_size=5) removes an object of 5 pixels, 0.25.2 keeps it. The new warning and docstring
# say that the old parameter still removes the smaller ones only; in fact min_size is now read as max_size. Masks cleaned with a
# floor lose the lesions of just that size. Give max_size=4.
# Seen: pixels left of objects of 4 and 5, min_size=5: 0.25.2 5, 0.26.0 0
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > left.py <<"PY"
import warnings

import numpy as np
from skimage.morphology import remove_small_objects

mask = np.zeros((1, 20), bool)
mask[0, 2:6] = mask[0, 9:14] = True
with warnings.catch_warnings(record=True) as heard:
    warnings.simplefilter("always")
    left = int(remove_small_objects(mask, min_size=5).sum())
assert not heard or "while the previous parameter only removed smaller ones" in str(heard[-1].message), heard[-1].message
print(left)
PY
seen=""
for version in 0.25.2 0.26.0; do
    python3 -m venv "venv-$version"
    "venv-$version/bin/python" -m pip install --quiet --disable-pip-version-check "scikit-image==$version" numpy==2.4.6 scipy==1.17.1
    seen="$seen $version $("venv-$version/bin/python" left.py)"
done
[ "$seen" = " 0.25.2 5 0.26.0 0" ] || { echo "changed:$seen"; exit 1; }
echo "pixels left of objects of 4 and 5, min_size=5: 0.25.2 5, 0.26.0 0"
