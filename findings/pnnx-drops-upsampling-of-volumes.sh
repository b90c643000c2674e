#!/usr/bin/env bash
# pnnx 20261020 ends with status 0 on a network that doubles a volume (Resize, linear, five dimensions), with one line "unsupported
# interpolate scale_factor" in its log, and writes the layer without scale or method. ncnn 1.0.20261020 loads that, runs it, returns 0
# each time and hands the volume on in its old size: a 3D U-Net loses its way up. In two dimensions the same is right. Look for
# "unsupported" in the log, and compare size and values with the network that went in.
# Seen: 2D 8 x 8 to 16 x 16; 3D status 0, load 0, extract 0, 8 x 8 x 8 for 16 x 16 x 16, equal to the input
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check pnnx==20261020 torch==2.14.1 \
    ncnn==1.0.20261020 onnx==1.23.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import pathlib
import subprocess

import ncnn
import numpy as np
import onnx
from onnx import TensorProto, helper


def doubled(dimensions):
    name, shape = f"up{dimensions}", [1, 1] + [8] * dimensions
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "scales"], ["t"], mode="linear"), helper.make_node("Relu", ["t"], ["y"])],
        name,
        [value("x", TensorProto.FLOAT, shape)],
        [value("y", TensorProto.FLOAT, [1, 1] + [16] * dimensions)],
        [helper.make_tensor("scales", TensorProto.FLOAT, [len(shape)], [1, 1] + [2] * dimensions)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, f"{name}.onnx")
    size = str(shape).replace(" ", "")
    done = subprocess.run(["venv/bin/pnnx", f"{name}.onnx", f"inputshape={size}"], check=True, capture_output=True, text=True)
    assert pathlib.Path(f"{name}.ncnn.param").exists(), done.stderr
    net = ncnn.Net()
    net.opt.num_threads = 1
    loaded = net.load_param(f"{name}.ncnn.param"), net.load_model(f"{name}.ncnn.bin")
    voxels = np.random.default_rng(0).random(shape[1:]).astype(np.float32)
    extractor = net.create_extractor()
    given = extractor.input("in0", ncnn.Mat(voxels).clone())
    got, answer = extractor.extract("out0")
    assert (*loaded, given, got) == (0, 0, 0, 0), f"changed: returned {(*loaded, given, got)}"
    return "unsupported interpolate" in done.stdout + done.stderr, voxels, np.array(answer)


warned, voxels, answer = doubled(2)
assert not warned and answer.shape[-2:] == (16, 16), f"changed: 2D {warned} {answer.shape}"
print("2D", voxels.shape, answer.shape)
warned, voxels, answer = doubled(3)
assert warned, "changed: nothing in the log"
assert answer.shape == voxels.shape and np.allclose(answer, voxels, atol=1e-2), f"changed: 3D {answer.shape}"
print("3D", voxels.shape, answer.shape)
PY
