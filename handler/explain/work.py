"""``python -m handler.explain.work FOLDER THREADS LINE``: the process of :mod:`handler.explain.beside`. Answers one
gradient after the other on the socket LINE, and ends when nobody is there any more or none was asked for."""

from __future__ import annotations

import json
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handler.card import read_card

KEPT_SECONDS = 60.0  # a person looks at one result after the other


class Work:
    """The network of the release in ``folder``, loaded when it is first needed."""

    def __init__(self, folder: Path, threads: int) -> None:
        import torch

        from handler.explain.tumour import of_tumour
        from handler.network import load

        torch.set_num_threads(threads)
        card = read_card(folder)
        self._network, self._calibration = of_tumour(load(card, folder).requires_grad_(False), card)

    def __call__(
        self, question: str, image: NDArray[np.float32], region: NDArray[np.bool_]
    ) -> tuple[dict[str, int], bytes]:
        """What the heat is of, and the heat."""
        import torch

        from handler.explain.gradcam import gradcam

        found = gradcam(self._network, torch.from_numpy(image), question, self._calibration, torch.from_numpy(region))
        told = {"stage": found.stage, "cell": found.cell, "channels": found.channels}
        return told, np.ascontiguousarray(found.heat.numpy(), np.float32).tobytes()


def serve(folder: Path, threads: int, line: Connection, kept_seconds: float = KEPT_SECONDS) -> None:
    """Until the other side is gone, or ``kept_seconds`` have passed without a question."""
    work: Work | None = None
    line.send_bytes(b"ready")
    while line.poll(kept_seconds):
        try:
            asked = json.loads(line.recv_bytes())
            image = np.frombuffer(line.recv_bytes(), np.float32).reshape(asked["shape"]).copy()
            region = np.frombuffer(line.recv_bytes(), np.bool_).reshape(asked["shape"][2:]).copy()
        except EOFError:
            return
        try:
            work = work or Work(folder, threads)
            told, heat = work(asked["question"], image, region)
        except ImportError as error:
            line.send_bytes(json.dumps({"error": f"{error.name} is not installed here."}).encode())
        except Exception as error:  # said to who waits, whatever it is
            line.send_bytes(json.dumps({"error": f"No gradient can be had ({type(error).__name__})."}).encode())
        else:
            line.send_bytes(json.dumps(told).encode())
            line.send_bytes(heat)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), Connection(int(sys.argv[3])))
