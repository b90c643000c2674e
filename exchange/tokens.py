"""The tokens that TorchServe writes into its state folder, and the header that carries one."""

from __future__ import annotations

import json
from pathlib import Path


def read_token(key_file: Path, kind: str) -> str:
    """The token ``kind`` (``inference``, ``management`` or ``API``). Raises ``OSError`` or ``ValueError`` while
    TorchServe has not written its file whole."""
    try:
        return str(json.loads(key_file.read_text(encoding="utf-8"))[kind]["key"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{key_file} has no {kind} token") from error


def bearer(key_file: Path, kind: str) -> dict[str, str]:
    """The header that carries the token; read anew each time, since tokens rotate."""
    return {"Authorization": f"Bearer {read_token(key_file, kind)}"}
