#!/usr/bin/env bash
# Flask 3.1.3 (Werkzeug 3.1.9): send_file of a volume named x.nii.gz says Content-Encoding: gzip, by its name. requests and browsers
# then unpack it on the way, and what is saved under x.nii.gz is no gzip: nibabel 5.4.2 refuses it. With a mimetype given
# the header is left out.
# Seen: sent 1f8b (gzip), kept under the same name as 5c01; nibabel: "not a gzip file"; with a mimetype the bytes arrive as they are
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check flask==3.1.3 werkzeug==3.1.9 requests==2.34.2 \
    nibabel==5.4.2 numpy==2.2.6
cd "$folder"
venv/bin/python - <<"PY"
import os
import threading

import flask
import nibabel
import numpy as np
import requests
from werkzeug.serving import make_server

nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4), np.uint8), np.eye(4)), "x.nii.gz")
sent = open("x.nii.gz", "rb").read()
app = flask.Flask("app")
app.add_url_rule("/by-name", view_func=lambda: flask.send_file(os.path.abspath("x.nii.gz")), endpoint="a")
app.add_url_rule(
    "/by-type",
    view_func=lambda: flask.send_file(os.path.abspath("x.nii.gz"), mimetype="application/gzip"),
    endpoint="b",
)
server = make_server("127.0.0.1", 0, app)
threading.Thread(target=server.serve_forever, daemon=True).start()
answer = {path: requests.get(f"http://127.0.0.1:{server.port}/{path}", timeout=60) for path in ("by-name", "by-type")}
server.shutdown()
kept = answer["by-name"].content
assert answer["by-name"].headers["Content-Encoding"] == "gzip", "changed: no header"
assert (sent[:2], kept[:2]) == (b"\x1f\x8b", b"\x5c\x01"), f"changed: {kept[:2]!r}"
assert answer["by-type"].content == sent, "changed: by type"
open("kept.nii.gz", "wb").write(kept)
try:
    nibabel.load("kept.nii.gz").get_fdata()
except (OSError, nibabel.filebasedimages.ImageFileError) as error:
    print(f"sent {sent[:2].hex()}, kept {kept[:2].hex()}; nibabel: {error}")
else:
    raise SystemExit("changed: nibabel reads it")
PY
