"""Run by an environment that has KServe's clients and nothing of ours: ``kserve_client.py http|grpc ADDRESS SCAN OUT``.
Writes masks and what else it saw to OUT, as .npz and JSON."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import numpy as np
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest
from kserve.inference_client import RESTConfig
from kserve.protocol.infer_type import RequestedOutput

kind, address, scan_file, out = sys.argv[1:]
scan = Path(scan_file).read_bytes()


def asked(data, binary=True, model="brainseg"):
    tensor = InferInput("scan", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([data], dtype=object), binary_data=binary)
    outputs = [RequestedOutput(name, {"binary_data": binary}) for name in ("mask", "probability", "measurements")]
    rest = {} if kind == "grpc" else {"request_outputs": outputs}
    threshold = "0.4" if kind == "grpc" else 0.4  # kserve 0.21.0 refuses to send a number by gRPC
    parameters = {"threshold": threshold, "gate": "off"}
    return InferRequest(model, [tensor], request_id="ward-7", parameters=parameters, **rest)


async def over_http():
    base = f"http://{address}"
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        seen = {
            "live": await client.is_server_live(base),
            "ready": await client.is_server_ready(base),
            "model_ready": await client.is_model_ready(base, "brainseg"),
        }
        answer = await client.infer(base, asked(scan), model_name="brainseg")
        in_json = await client.infer(base, asked(base64.b64encode(scan), False), model_name="brainseg")
        masks = {"json": in_json.get_output_by_name("mask").as_numpy()}
        try:
            await client.infer(base, asked(scan, model="other"), model_name="other")
        except Exception as error:
            seen["refused"] = str(error)
    return seen, masks, answer


async def over_grpc():
    async with InferenceGRPCClient(address) as client:
        seen = {
            "live": await client.is_server_live(),
            "ready": await client.is_server_ready(),
            "model_ready": await client.is_model_ready("brainseg"),
        }
        answer = await client.infer(asked(scan))
        try:
            await client.infer(asked(scan, model="other"))
        except Exception as error:
            seen["refused"] = error.details()
    return seen, {}, answer


seen, masks, answer = asyncio.run(over_grpc() if kind == "grpc" else over_http())
masks |= {name: answer.get_output_by_name(name).as_numpy() for name in ("mask", "probability")}
seen["measurements"] = json.loads(answer.get_output_by_name("measurements").as_numpy()[0])
seen["id"] = answer.id
np.savez(f"{out}.npz", **masks)
Path(f"{out}.json").write_text(json.dumps(seen))
