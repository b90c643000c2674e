"""Gradients in a process beside the worker. PyTorch with a network takes up to a gigabyte that the worker does without
(docs/reasons.md has the figures); so the process is started when a gradient is first asked for, and ends when none was
for a while. It can be ended at any time, and what it does to itself it does not do to the worker."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.wanted import ask

LOOK_SECONDS = 0.1
PACKAGE = Path(__file__).parents[2]


class Beside:
    """Of the release in ``folder``. One gradient at a time; safe to use from several threads."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._folder, self._threads = folder, threads
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Of the process while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def gradcam(
        self, question: str, image: NDArray[np.float32], region: NDArray[np.bool_], deadline: float, limit: float
    ) -> tuple[NDArray[np.float32], Mapping[str, Any]]:
        """The heat (h, w) and what it is of, see :class:`handler.explain.gradcam.Found`. ``image``: (1, c, h, w),
        normalised. ``deadline``: a :func:`time.monotonic` value; ``limit``: in seconds, what the client is told. Raises
        ``timeout``, or ``explain_unavailable`` where PyTorch or the network cannot be had."""
        told = json.dumps({"question": question, "shape": image.shape}).encode()
        parts = (told, np.ascontiguousarray(image).tobytes(), region.tobytes())
        with self._turn(deadline, limit):
            kept = self.pid is not None
            try:
                reply, heat = self._ask(parts, deadline, limit)
            except (EOFError, OSError):
                if not kept:
                    raise _unavailable("The process that computes gradients ended; it may lack memory.") from None
                reply, heat = self._again(parts, deadline, limit)  # it may have gone for want of questions
        if "error" in reply:
            raise _unavailable(reply["error"])
        found = np.frombuffer(heat, np.float32).reshape(region.shape)
        return found, {name: reply[name] for name in ("stage", "cell", "channels")}

    def _again(self, parts: Sequence[bytes], deadline: float, limit: float) -> tuple[dict[str, Any], bytes]:
        try:
            return self._ask(parts, deadline, limit)
        except (EOFError, OSError):
            raise _unavailable("The process that computes gradients ended twice; it may lack memory.") from None

    def _ask(self, parts: Sequence[bytes], deadline: float, limit: float) -> tuple[dict[str, Any], bytes]:
        """Lock held. Whatever goes wrong, the process ends: nobody waits for what it still computes."""
        try:
            line = self._open(deadline, limit)
            for part in parts:
                line.send_bytes(part)
            self._wait(line, deadline, limit)
            reply = json.loads(line.recv_bytes())
            return reply, b"" if "error" in reply else line.recv_bytes()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the process."""
        process, line = self._process, self._line
        self._process = self._line = None
        if line is not None:
            line.close()
        if process is not None:
            process.kill()
            process.wait()

    @contextmanager
    def _turn(self, deadline: float, limit: float) -> Iterator[None]:
        while not self._lock.acquire(timeout=LOOK_SECONDS):
            ask()
            _check(deadline, limit)
        try:
            yield
        finally:
            self._lock.release()

    def _wait(self, line: Connection, deadline: float, limit: float) -> None:
        while not line.poll(LOOK_SECONDS):
            ask()
            _check(deadline, limit)

    def _open(self, deadline: float, limit: float) -> Connection:
        """The line to the process, which is started unless it runs."""
        if self._line is not None and self.pid is not None:
            return self._line
        self.close()
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            paths = [str(PACKAGE), os.environ.get("PYTHONPATH", "")]
            words = ["-m", "handler.explain.work", str(self._folder), str(self._threads), str(number)]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", *words],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "CUDA_VISIBLE_DEVICES": ""},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(number,),
            )
        self._line = Connection(ours.detach())
        self._wait(self._line, deadline, limit)  # until it reads, a picture would not fit into the line
        self._line.recv_bytes()
        return self._line

    def __del__(self) -> None:
        with suppress(Exception):
            self.close()


def _check(deadline: float, limit: float) -> None:
    if time.monotonic() > deadline:
        raise RequestError(
            "timeout",
            f"The gradient was not there within {limit:.0f} s; the first one after a while takes longest. Try again, "
            "give more seconds, or take method=occlusion.",
        )


def _unavailable(detail: str) -> RequestError:
    return RequestError("explain_unavailable", f"{detail} Take method=occlusion, which needs the served engine only.")
