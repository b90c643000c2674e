"""A front door that answers every picture alike, and every volume, at once or when it is told to: for what is the
client's alone."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import imagecodecs
import numpy as np

GREY = imagecodecs.png_encode(np.zeros((8, 8), np.uint8))
COLOUR = imagecodecs.png_encode(np.zeros((8, 8, 3), np.uint8))
BUSY = {"type": "about:blank", "title": "busy", "status": 503, "code": "queue_full", "detail": "The queue is full."}
_ONE = {"default": True, "workers": {"wanted": 1, "ready": 1}, "card": None}
BESIDE = {"name": "brainseg-regions", "default": "0.1", "versions": [{"version": "0.1", **_ONE}]}
MODELS = {"name": "brainseg", "default": "1.0", "versions": [{"version": "1.0", **_ONE}], "beside": [BESIDE]}
PARTS = {  # of the model beside
    "labels": [
        {"value": 1, "name": "oedema", "colour": [0, 200, 0], "pixels": 7, "volume_ml": 0.5, "max_probability": 0.9},
        {"value": 2, "name": "=core", "colour": [200, 0, 0], "pixels": 0, "volume_ml": 0.0, "max_probability": 0.2},
    ],
    "regions": [{"name": "whole", "labels": [1, 2], "pixels": 7, "volume_ml": 0.5, "max_probability": 0.9}],
}
VOLUME_FILES = {"mask.nii.gz": b"a mask", "seg.dcm": b"a SEG", "sr-volume.dcm": b"a report"}


def zip_of(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(name, data)
    return buffer.getvalue()


@dataclass
class Door:
    """``open``: whether answers are given; a request waits until it is set. ``busy``: after how many scans it is busy
    from then on. ``sizes``: of the scans that came; ``asked``: their headers and bodies; ``keys``: the Authorization
    headers. ``problem``: the answer to all scans instead of a result, and ``result`` instead of a segmentation.
    ``paths``: that were asked. ``files``: what a volume's zip holds beside
    ``result.json``."""

    url: str = ""
    open: threading.Event = field(default_factory=threading.Event)
    busy: int | None = None
    sizes: list[int] = field(default_factory=list)
    asked: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=lambda: dict(VOLUME_FILES))
    keys: set[str] = field(default_factory=set)
    problem: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)

    def parts(self) -> dict[str, Any]:
        """Of the answer to the scan that came last."""
        return PARTS if "model=brainseg-regions" in self.paths[-1] else {}

    def answer(self, scan: bytes, threshold: float, pictures: bool) -> dict[str, Any]:
        images = {"mask": base64.b64encode(GREY).decode(), "overlay": base64.b64encode(COLOUR).decode()}
        one = {"index": 0, "tumor_pixels": 0, "tumor_coverage_percent": 0.0, "max_probability": 0.1}
        return {
            "model": {"name": "brainseg", "version": "1.0", "digest": "sha256:0", "architecture": "none"},
            "input": {
                "format": "png",
                "width": 8,
                "height": 8,
                "slices": 1,
                "sha256": hashlib.sha256(scan).hexdigest(),
            },
            "threshold": threshold,
            "min_lesion_pixels": 0,
            "tta": "none",
            "verdict": "no_tumor_detected",
            "tumor_pixels": 0,
            "total_pixels": 64,
            "tumor_coverage_percent": 0.0,
            "max_probability": 0.1,
            "slices": [{**one, "images": images if pictures else {}}],
            "warnings": [],
            "timing_ms": {},
            **self.parts(),
        }

    def bundle(self, scan: bytes, threshold: float) -> bytes:
        """The answer to ``Accept: application/zip``."""
        result = self.answer(scan, threshold, False)
        result["input"] |= {"format": "nifti", "geometry": {"size": [8, 8, 1], "orientation": "RAS"}}
        found = {"lesions": [{"volume_ml": 0.5}, {"volume_ml": 0.25}], "tumor_volume_ml": 0.75}
        result |= {**found, "sequences": [{"channel": "flair"}], "verdict": "tumor_detected"}
        return zip_of({**self.files, "result.json": json.dumps(result).encode()})


class _Handler(BaseHTTPRequestHandler):
    door: Door

    def _send(self, status: int, body: dict[str, Any] | bytes) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has gone
            self.wfile.write(data)

    def do_GET(self) -> None:
        self._send(200, MODELS)

    def do_POST(self) -> None:
        scan = self.rfile.read(int(self.headers["Content-Length"]))
        self.door.keys.add(self.headers.get("Authorization", ""))
        if self.door.busy is not None and len(self.door.sizes) >= self.door.busy:
            self._send(503, BUSY)
            return
        self.door.sizes.append(len(scan))
        self.door.asked.append((dict(self.headers), scan))
        self.door.paths.append(self.path)
        if self.door.problem:
            self._send(self.door.problem["status"], self.door.problem)
            return
        self.door.open.wait(120)
        if self.door.result:
            self._send(200, self.door.result)
            return
        threshold = float(self.headers.get("X-BrainSeg-threshold", "0.5"))
        if self.headers["Accept"] == "application/zip":
            self._send(200, self.door.bundle(scan, threshold))
            return
        pictures = self.headers.get("X-BrainSeg-outputs") != "none"
        self._send(200, self.door.answer(scan, threshold, pictures))

    def log_message(self, format: str, *args: object) -> None:
        return


@contextlib.contextmanager
def standing() -> Iterator[Door]:
    """It listens on a free port of loopback and answers at once, unless ``open`` is cleared."""
    door = Door()
    door.open.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"door": door})) as server:
        door.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield door
        finally:
            door.open.set()
            server.shutdown()
            thread.join()
