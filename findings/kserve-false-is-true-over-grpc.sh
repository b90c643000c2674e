#!/usr/bin/env bash
# kserve 0.21.0 hands a model the parameters of one and the same request in two kinds: over REST plain values, over gRPC protobuf
# objects (InferParameter), which are true whatever is in them. So `if request.parameters["smooth"]` does over gRPC what the caller
# forbade, and a number cannot be compared. The parameters of an input are plain over both. Take the value of the field that is set.
# Seen: smooth=false: REST False, gRPC true as a condition; least=2: REST 2, gRPC TypeError; of an input: False over both
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check kserve==0.21.0 numpy==2.4.6
cd "$folder"
cat > serve.py <<"PY"
import json
import os
import pathlib
import signal
import socket
import threading
import time
import urllib.request

import grpc
import kserve
from kserve.protocol.grpc import grpc_predict_v2_pb2 as messages
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as calls


class Model(kserve.Model):
    def predict(self, payload, headers=None, response_headers=None):
        asked = payload.parameters
        try:
            more = asked["least"] > 1
        except TypeError:
            more = "TypeError"
        seen = [bool(asked["smooth"]), more, bool(payload.inputs[0].parameters["smooth"])]
        answer = kserve.InferOutput("seen", [1], "BYTES", data=[json.dumps(seen)])
        return kserve.InferResponse(payload.id or "1", self.name, [answer])


def free():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


rest, remote = free(), free()
model = Model("m")
model.ready = True
server = kserve.ModelServer(http_port=rest, grpc_port=remote, enable_docs_url=False)


def ask():
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", rest), 1).close()
            socket.create_connection(("127.0.0.1", remote), 1).close()
            break
        except OSError:
            time.sleep(0.1)
    tensor = {"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"smooth": False}, "data": [1.0]}
    body = json.dumps({"id": "1", "parameters": {"smooth": False, "least": 2}, "inputs": [tensor]}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{rest}/v2/models/m/infer", body, {"Content-Type": "application/json"}
    )
    over_rest = json.loads(json.load(urllib.request.urlopen(request, timeout=60))["outputs"][0]["data"][0])
    no, two = messages.InferParameter(bool_param=False), messages.InferParameter(int64_param=2)
    sent = messages.ModelInferRequest(model_name="m", id="1", parameters={"smooth": no, "least": two})
    one = sent.inputs.add(name="x", shape=[1], datatype="FP32", parameters={"smooth": no})
    one.contents.fp32_contents.append(1.0)
    with grpc.insecure_channel(f"127.0.0.1:{remote}") as channel:
        output = calls.GRPCInferenceServiceStub(channel).ModelInfer(sent, timeout=60).outputs[0]
    pathlib.Path("seen").write_text(json.dumps([over_rest, json.loads(output.contents.bytes_contents[0])]))


def asked_and_stopped():
    try:
        ask()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)


threading.Thread(target=asked_and_stopped, daemon=True).start()
server.start([model])
PY
venv/bin/python serve.py >log 2>&1 || true
[ -f seen ] || { tail -20 log; exit 1; }
[ "$(cat seen)" = '[[false, true, false], [true, "TypeError", false]]' ] || { echo "changed: $(cat seen)"; exit 1; }
echo "smooth=false, least=2 > 1, the input's smooth=false, as a condition: REST false true false; gRPC true TypeError false"
