#!/usr/bin/env bash
# safetensors 0.8.0: the same tensors with the same metadata give other bytes from save to save once the metadata has more than one
# key: they are written in a random order. Who compares models by digest, or signs them, keeps one key (JSON in it, say).
# Seen: kinds of bytes in 50 saves: 1 key 1, 4 keys more than 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check safetensors==0.8.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import numpy as np
from safetensors.numpy import save

counts = {}
for number in (1, 4):
    metadata = {f"key{k}": "value" for k in range(number)}
    counts[number] = len({save({"weight": np.zeros(3, np.float32)}, metadata) for _ in range(50)})
assert counts[1] == 1 and counts[4] > 1, f"changed: {counts}"
print("kinds of bytes in 50 saves: 1 key 1, 4 keys more than 1")
PY
