"""Run by an environment that has NVIDIA's client and nothing of ours: ``triton_client.py http|grpc ADDRESS SCAN OUT``.
Writes masks and what else it saw to OUT, as .npz and JSON."""

import base64
import importlib
import json
import sys
from pathlib import Path

import numpy as np

kind, address, scan_file, out = sys.argv[1:]
client_module = importlib.import_module(f"tritonclient.{kind}")
client = client_module.InferenceServerClient(address)
scan = Path(scan_file).read_bytes()


def asked(data, **how):
    tensor = client_module.InferInput("scan", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([data], dtype=object), **how)
    return [tensor]


seen = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model_ready": client.is_model_ready("brainseg"),
    "version_ready": client.is_model_ready("brainseg", "2.0"),
    "unknown_ready": client.is_model_ready("brainseg", "9.9") if kind == "http" else False,
}
of_model, of_server = client.get_model_metadata("brainseg"), client.get_server_metadata()
if kind == "grpc":
    seen["versions"], seen["server"] = list(of_model.versions), of_server.name
    seen["shapes"] = {one.name: [one.datatype, list(one.shape)] for one in [*of_model.inputs, *of_model.outputs]}
else:
    seen["versions"], seen["server"] = of_model["versions"], of_server["name"]
    seen["shapes"] = {one["name"]: [one["datatype"], one["shape"]] for one in of_model["inputs"] + of_model["outputs"]}

plain = client.infer("brainseg", asked(scan), request_id="ward-7")
masks = {"binary": plain.as_numpy("mask"), "probability": plain.as_numpy("probability")}
measured = plain.as_numpy("measurements")[0]
seen["measurements"] = json.loads(measured)
answer = plain.get_response()
seen["id"] = answer.id if kind == "grpc" else answer["id"]
named = client.infer("brainseg", asked(scan), model_version="2.0", parameters={"threshold": 0.4, "gate": "off"})
seen["named"] = json.loads(named.as_numpy("measurements")[0])
masks["named"] = named.as_numpy("mask")
if kind == "http":
    for how in ("gzip", "deflate"):
        packed = client.infer(
            "brainseg", asked(scan), request_compression_algorithm=how, response_compression_algorithm=how
        )
        masks[how] = packed.as_numpy("mask")
    names = [client_module.InferRequestedOutput(name, binary_data=False) for name in ("mask", "probability")]
    in_json = client.infer("brainseg", asked(base64.b64encode(scan), binary_data=False), outputs=names)
    masks["json"], masks["json_probability"] = in_json.as_numpy("mask"), in_json.as_numpy("probability")
refused = []
for model, data in (("other", scan), ("brainseg", b"GIF89a"), ("brainseg", scan[:2000])):
    try:
        client.infer(model, asked(data))
    except client_module.InferenceServerException as error:
        refused.append([error.status(), error.message()])
seen["refused"] = refused
np.savez(f"{out}.npz", **masks)
Path(f"{out}.json").write_text(json.dumps(seen))
