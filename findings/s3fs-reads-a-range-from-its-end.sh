#!/usr/bin/env bash
# s3fs 2026.9.0 with fsspec 2026.9.0, against moto 5.2.5: cat_file(path, 0, 4) gives the first four bytes from fsspec's file systems, and
# from s3fs what comes behind them. fsspec declares (path, start, end), s3fs has (path, version_id, start, end): the 0 becomes a version
# that is passed over, the 4 becomes the start. Any other start is refused as a version that is no text. By name (start=, end=) both give the
# same; of an object without a byte, or from beyond its end, s3fs then raises OSError where fsspec's give b"".
# Seen: memory 0 1 2 3, s3 4 5 6 7 and on to 99; (4, 8): memory 4 to 7, s3 ParamValidationError; by name both 0 1 2 3; none: b"", OSError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check s3fs==2026.9.0 fsspec==2026.9.0 aiobotocore==3.10.0 \
    "moto[server]==5.2.5"
cd "$folder"
venv/bin/python - 2> log <<"PY" || { tail -5 log; exit 1; }
import fsspec
from moto.server import ThreadedMotoServer

server = ThreadedMotoServer(port=0, verbose=False)
server.start()
host, port = server.get_host_and_port()
s3 = fsspec.filesystem("s3", key="key", secret="secret", client_kwargs={"endpoint_url": f"http://{host}:{port}"})
memory = fsspec.filesystem("memory")
s3.mkdir("bucket")
for system in (s3, memory):
    system.pipe_file("bucket/scan", bytes(range(100)))
    system.pipe_file("bucket/empty", b"")


def found(system, name, *places, **named):
    try:
        return list(system.cat_file(f"bucket/{name}", *places, **named))
    except Exception as error:
        return type(error).__name__


seen = {
    "(0, 4)": (found(memory, "scan", 0, 4), found(s3, "scan", 0, 4)),
    "(4, 8)": (found(memory, "scan", 4, 8), found(s3, "scan", 4, 8)),
    "start=0, end=4": (found(memory, "scan", start=0, end=4), found(s3, "scan", start=0, end=4)),
    "of nothing": (found(memory, "empty", start=0, end=4), found(s3, "empty", start=0, end=4)),
}
server.stop()
expected = {
    "(0, 4)": ([0, 1, 2, 3], list(range(4, 100))),
    "(4, 8)": ([4, 5, 6, 7], "ParamValidationError"),
    "start=0, end=4": ([0, 1, 2, 3], [0, 1, 2, 3]),
    "of nothing": ([], "OSError"),
}
assert seen == expected, f"changed: {seen}"
for what, (plain, other) in seen.items():
    print(f"{what}: memory {str(plain):.24}, s3 {str(other):.24}")
PY
