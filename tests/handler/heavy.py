"""The largest requests that are legal, small as files; and what each takes of a process of its own:
``python -m tests.handler.heavy`` prints a line of JSON for each."""

from __future__ import annotations

import io
import json
import os
import resource
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import imagecodecs
import numpy as np
import torch
from PIL import Image

from handler.pipeline import Model, answer
from prove.drawn.pictures import SHORT, TiffPage, png, png_header, png_of, ramp, tiff_of
from tests.handler.models import FLAIR_RULE, model

SIDE = 4096
FLOAT, FLOAT_PREDICTOR = 3, 3
PREDICTOR, PALETTE = 317, 320


def deflated(size: int, level: int = 100) -> bytes:
    """``size`` equal bytes, deflated."""
    packer = zlib.compressobj(1)
    block = bytes([level]) * 2**20
    parts = [packer.compress(block[: min(2**20, size - start)]) for start in range(0, size, 2**20)]
    return b"".join([*parts, packer.flush()])


def stack(pages: int, side: int, channels: int, bits: int, form: int = 1, **tags: int) -> bytes:
    strip = deflated(side * side * channels * bits // 8)
    photometric = 2 if channels > 2 else 1
    page = TiffPage(
        side,
        side,
        strip,
        **{"compression": 8, "samples": channels, "bits": bits, "format": form, "photometric": photometric, **tags},
    )
    return tiff_of(*[page] * pages)


def float_predicted() -> bytes:
    strip = bytes(imagecodecs.zstd_encode(bytes(SIDE * SIDE * 12)))
    page = TiffPage(SIDE, SIDE, strip, compression=50000, samples=3, bits=32, format=FLOAT, photometric=2)
    page.extra.append((PREDICTOR, SHORT, (FLOAT_PREDICTOR,)))
    return tiff_of(page)


def palette() -> bytes:
    page = TiffPage(SIDE, SIDE, deflated(SIDE * SIDE), compression=8, photometric=3)
    page.extra.append((PALETTE, SHORT, tuple(range(0, 3 * 256 * 85, 85))))
    return tiff_of(*[page] * 5)


def picture(kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (90, 160, 40)).save(buffer, kind)
    return buffer.getvalue()


def deep_png() -> bytes:
    rows = zlib.compress((b"\0" + b"\x70\x00" * 4 * SIDE) * SIDE, 1)
    data = [png_header(SIDE, SIDE, 16, 6)]
    crc = zlib.crc32(b"IDAT" + rows)
    data += [len(rows).to_bytes(4, "big") + b"IDAT" + rows + crc.to_bytes(4, "big"), b"\0\0\0\0IEND\xaeB\x60\x82"]
    return png_of(data)


def uncompressed() -> bytes:
    side = 572  # 200 pages of it are just below 64 MiB
    return tiff_of(*[TiffPage(side, side, bytes([n]) * side * side) for n in range(200)])


def noise() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return tiff_of(TiffPage(SIDE, SIDE, pixels.tobytes(), samples=3, photometric=2))


HEAVY: Mapping[str, tuple[Callable[[], bytes], str, str]] = {  # file, outputs, code
    "RGB float32": (lambda: stack(3, SIDE, 3, 32, FLOAT), "overlay", "ok"),
    "RGB float32, 196 pages": (lambda: stack(196, 714, 3, 32, FLOAT), "mask", "ok"),
    "RGBA uint16": (lambda: stack(5, SIDE, 4, 16), "panel", "ok"),
    "RGB float64": (lambda: stack(2, 2896, 3, 64, FLOAT), "overlay", "ok"),
    "white is zero, uint32": (lambda: stack(5, SIDE, 1, 32, photometric=0), "overlay,probability", "ok"),
    "float predictor": (float_predicted, "scan,mask,overlay,heatmap", "ok"),
    "palette": (palette, "overlay", "ok"),
    "not compressed": (uncompressed, "mask", "ok"),
    "noise": (noise, "mask,overlay", "response_too_large"),
    "PNG of 16 bits": (deep_png, "panel,probability", "ok"),
    "PNG": (lambda: picture("PNG"), "panel,heatmap", "ok"),
    "JPEG": (lambda: picture("JPEG"), "panel", "ok"),
}


def resident() -> float:
    """MB of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def _ask(model: Model, data: bytes, outputs: str) -> str:
    headers = {"X-BrainSeg-Outputs": outputs, "X-BrainSeg-Slices": "0", "X-BrainSeg-Min-Lesion-Pixels": "9"}
    return answer(model, {"body": bytearray(data)}, headers).code


def _in_a_child(model: Model, data: bytes, outputs: str) -> tuple[str, float]:
    """Code, and by how many MB a child that is asked once grows at most: the peak of a process never comes down."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        before = resident()
        code = _ask(model, data, outputs)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
        os.write(writing, json.dumps([code, grown]).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answers:
        code, grown = json.loads(answers.read() or '["died", 0]')
    os.waitpid(child, 0)
    return code, grown


def measure(wanted: Iterable[str]) -> Iterator[tuple[str, str, float, float]]:
    """Name, code, MB of an idle worker with a network of one weight, MB at most with this request in it."""
    torch.set_num_threads(1)
    ready = model(FLAIR_RULE)
    _ask(ready, png(ramp(256, 256, 3)), "scan,mask,overlay,heatmap,panel,probability")
    idle = resident()
    for name in wanted:
        make, outputs, _ = HEAVY[name]
        code, grown = _in_a_child(ready, make(), outputs)
        yield name, code, idle, idle + grown


if __name__ == "__main__":
    for line in measure(sys.argv[1:] or HEAVY):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
