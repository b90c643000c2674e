"""Decompression in a process beside the worker, within bounds of time and memory that the kernel keeps. The decoders
are C and read what anybody sends: a stream that ends early can hold CharLS 2.4.3 for 10 s over 40 x 40 pixels, and a
fault in any of them would be the worker's end. In here it is a refused series."""

from __future__ import annotations

import json
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

import handler
from handler.errors import RequestError
from handler.volumes.dicom.codecs import Shape, decompress

REQUEST = struct.Struct("<QIII")  # bytes of the stream, rows, columns, bits
ANSWER = struct.Struct("<cQ")  # kind of number or "!", bytes that follow
KINDS = {b"1": np.uint8, b"2": np.uint16, b"4": np.uint32, b"a": np.int8, b"b": np.int16, b"d": np.int32}
SECONDS, SECONDS_A_MEGAPIXEL = 5, 0.5  # of CPU; JPEG 2000, the slowest, takes 0.06 s a megapixel
MEMORY = 2 * 2**30  # addresses, of which libraries take some 0.7
PROGRAM = "from handler.volumes.dicom.beside import serve; serve()"


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def serve() -> None:
    """The process: the transfer syntax and the seconds on a line, then frames until the pipe is closed."""
    came, goes = sys.stdin.buffer, sys.stdout.buffer
    syntax, seconds = came.readline().decode().split()
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while head := came.read(REQUEST.size):
        size, rows, columns, bits = REQUEST.unpack(head)
        try:
            found = np.ascontiguousarray(decompress(_exactly(came, size), syntax, Shape(rows, columns, bits)))
            kind = next(k for k, dtype in KINDS.items() if found.dtype == dtype)
            goes.write(ANSWER.pack(kind, found.nbytes) + found.tobytes())
        except RequestError as refusal:
            said = json.dumps([refusal.code, refusal.detail]).encode()
            goes.write(ANSWER.pack(b"!", len(said)) + said)
        goes.flush()


class Decoder:
    """The frames of one series, one after the other. A context: the process ends with it."""

    def __init__(self, transfer_syntax: str, pixels: int) -> None:
        """``pixels``: of all frames that are going to come: how much time there is."""
        seconds = int(SECONDS + SECONDS_A_MEGAPIXEL * pixels / 1e6)
        roots = [str(Path(handler.__file__).parents[1]), *[path for path in sys.path if path]]
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-s", "-c", PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                "PYTHONPATH": os.pathsep.join(roots),
                "OMP_NUM_THREADS": "1",
                "OPENBLAS_NUM_THREADS": "1",  # each thread would take its share of the addresses
                **{name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ},
            },
        )
        self._tell(f"{transfer_syntax} {seconds}\n".encode())

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:  # what was not sent yet: there is nobody to take it
                    continue
        self._process.wait()

    def _tell(self, data: bytes) -> None:
        stream = self._process.stdin
        if stream is not None:
            stream.write(data)
            stream.flush()

    def decode(self, data: bytes, shape: Shape) -> NDArray[Any]:
        """As :func:`handler.volumes.dicom.codecs.decompress`; ``corrupt_image`` too for what ends the process."""
        try:
            self._tell(REQUEST.pack(len(data), shape.rows, shape.columns, shape.bits) + data)
            stream = self._process.stdout
            if stream is None:
                raise EOFError
            kind, size = ANSWER.unpack(_exactly(stream, ANSWER.size))
            answer = _exactly(stream, size)
        except (OSError, EOFError):
            raise RequestError(
                "corrupt_image",
                "A compressed frame cannot be decoded within bounds of time and memory. Export the series again.",
            ) from None
        if kind == b"!":
            raise RequestError(*json.loads(answer))
        return np.frombuffer(answer, KINDS[kind]).reshape(shape.rows, shape.columns)
