"""All that can be set about the front door, in one frozen object."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from web.contract.fields import MIB, REQUEST_BYTES

_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")


@dataclass(frozen=True)
class Bounds:
    """How much is let in at once. Sizes in bytes, times in seconds.

    ``running``: requests TorchServe holds at a time; ``waiting``: how many more may wait for one of these places, and
    ``waiting_seconds`` how long; ``running_bytes``: bodies TorchServe holds together, which must stay well below its
    direct memory (twelve bodies of 39 MB passed with 1 GB). ``buffered_bytes``: bodies held here, arriving or waiting.
    ``upload_seconds``: how long a body may take to arrive. ``answer_seconds``: how long TorchServe may take.
    ``rate_per_minute``: requests for a segmentation by one client (0: no limit); ``client_share``: the part of the
    places, running and waiting, that one client may hold.
    """

    request_bytes: int = REQUEST_BYTES + MIB  # a multipart body has its scan and some lines around it
    running: int = 4
    waiting: int = 12
    waiting_seconds: float = 60.0
    running_bytes: int = 160 * MIB
    buffered_bytes: int = 512 * MIB
    upload_seconds: float = 300.0
    answer_seconds: float = 1800.0  # the handler gives up after 600, and three may be in front
    rate_per_minute: int = 0
    client_share: float = 1.0


@dataclass(frozen=True)
class Settings:
    """``key_file``: TorchServe's key_file.json (None: TorchServe runs without tokens). ``api_keys``: the file of the
    clients' keys (None: open, which is for loopback only). ``samples``: the folder of the page's sample scans.
    ``deployment``: where ``scripts/deploy`` writes down what is live (None, or no such file: nothing was deployed)."""

    inference_url: str = "http://127.0.0.1:8080"
    management_url: str = "http://127.0.0.1:8081"
    model: str = "brainseg"
    key_file: Path | None = None
    api_keys: Path | None = None
    samples: Path | None = None
    deployment: Path | None = None
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.model):
            raise ValueError(f"model {self.model!r}: expected letters, digits, '.', '_' and '-', at most 60")
        for name, url in (("inference", self.inference_url), ("management", self.management_url)):
            if not re.fullmatch(r"http://[^/\s]+/?", url):
                raise ValueError(f"{name} URL {url!r}: expected http://HOST:PORT")


def valid_version(text: str) -> bool:
    """Whether ``text`` can be a model version at all; what cannot never reaches a URL."""
    return bool(_NAME.fullmatch(text)) and not text.startswith(".")
