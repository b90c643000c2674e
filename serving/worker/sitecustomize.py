"""Python reads this before anything else in the processes that :mod:`serving.torchserve` starts. It is for the workers.

TorchServe's imports PyTorch to be ready for a handler that answers with a tensor. Ours answers with bytes, and PyTorch
is half a gigabyte of each worker's memory and seconds of its start. So TorchServe's module gets a stand-in that no
answer is an instance of; whoever imports PyTorch later, as the engine ``torch`` does, gets the real one."""

from __future__ import annotations

import sys
import types

WORKER = "model_service_worker.py"


def _spare_torch() -> None:
    stand_in = types.ModuleType("torch")
    stand_in.Tensor = type("Tensor", (), {})  # type: ignore[attr-defined]
    sys.modules["torch"] = stand_in
    try:
        import ts.protocol.otf_message_handler  # noqa: F401
    finally:
        del sys.modules["torch"]


if any(word.endswith(WORKER) for word in sys.orig_argv):
    _spare_torch()
