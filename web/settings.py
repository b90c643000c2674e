"""All that can be set about the front door, in one frozen object."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from web.contract.fields import MIB, REQUEST_BYTES, VERSION_PATTERN

_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}")


@dataclass(frozen=True)
class Bounds:
    """How much is let in at once. Sizes in bytes, times in seconds.

    **Bodies.** ``buffered_bytes``: bodies held here, arriving or waiting, as far as they have come; ``uploads``: how
    many at a time; ``upload_seconds``: how long one may take to arrive.
    **Connections.** ``connections``, in all, and ``connections_per_address``; ``header_seconds``: how long the headers
    of a request may take; ``idle_seconds``: how long a connection may wait for its next request; ``rate_bytes``: a body
    that arrives, or an answer that is read, slower than so many bytes a second over ``rate_seconds`` is cut off;
    ``unread_bytes``: answers that wait to be read, all together.
    **Work.** For each version: ``running``: requests TorchServe holds at a time; ``waiting``: how many more may wait
    for one of these places, and ``waiting_seconds`` how long. ``running_bytes``: bodies TorchServe holds together,
    which must stay well below its memory for them (``vmargs`` in config.properties), and ``version_bytes`` those of one
    version. ``versions``: for how many versions there are places at a time. ``answer_seconds``: how long TorchServe may
    take. ``drain_seconds``: how long answers in work are waited for at the end. ``watchers``: connections that may
    follow the events of jobs.
    **Clients.** ``rate_per_minute``: requests for a segmentation by one client (0: no limit); ``client_share``: the
    part of places, uploads and bytes held that one client may have.
    """

    request_bytes: int = REQUEST_BYTES + MIB  # a multipart body has its scan and some lines around it
    buffered_bytes: int = 512 * MIB
    uploads: int = 64
    upload_seconds: float = 300.0
    connections: int = 256
    connections_per_address: int = 192  # a proxy, or a ward behind one router, has one address
    header_seconds: float = 10.0
    idle_seconds: float = 60.0
    rate_bytes: float = 1024.0
    rate_seconds: float = 10.0
    unread_bytes: int = 256 * MIB
    running: int = 4
    waiting: int = 12
    waiting_seconds: float = 60.0
    running_bytes: int = 160 * MIB
    version_bytes: int = 96 * MIB
    versions: int = 4
    answer_seconds: float = 1800.0  # the handler gives up after 600, and three may be in front
    drain_seconds: float = 30.0
    watchers: int = 16
    rate_per_minute: int = 0
    client_share: float = 1.0


@dataclass(frozen=True)
class JobBounds:
    """``folder``: of the queue, the bodies and the results. ``keep_seconds``: how long a result is kept after the end
    of its job; 0: until it was fetched. ``hosts``: that webhooks may go to, exactly. ``most``: jobs that are not done,
    and ``most_bytes`` of their bodies; one client may have :attr:`Bounds.client_share` of either. ``running``: jobs
    that are looked after at a time; fewer are with TorchServe, see :mod:`web.jobs.turns`."""

    folder: Path
    keep_seconds: float = 0.0
    hosts: tuple[str, ...] = ()
    most: int = 1000
    most_bytes: int = 4096 * MIB
    running: int = 4


@dataclass(frozen=True)
class Settings:
    """``model``: that segments; ``types``: that names types; ``regions``: that segments into several classes, where
    it is asked for; all by their names at TorchServe.
    ``key_file``: TorchServe's key_file.json (None: TorchServe runs without tokens). ``api_keys``: the file of the
    clients' keys (None: open, which is for loopback only). ``samples``: the folder of the page's sample scans.
    ``deployment``: where ``scripts/deploy`` writes down what is live (None, or no such file: nothing was deployed).
    ``origins``: of pages elsewhere that may call the API. ``wanted``: the folder in which a worker sees whether an
    answer is still wanted (None: it is not told). ``passport_keys``: the folder of the keys that sign passports, made
    where there is none (None: no passports). ``drift``: the file of the window of figures (None: it ends with the
    process). ``otlp``: where traces are sent (None: nothing is traced). ``jobs``: None: there are none."""

    inference_url: str = "http://127.0.0.1:8080"
    management_url: str = "http://127.0.0.1:8081"
    model: str = "brainseg"
    key_file: Path | None = None
    api_keys: Path | None = None
    samples: Path | None = None
    deployment: Path | None = None
    origins: tuple[str, ...] = ()
    wanted: Path | None = None
    passport_keys: Path | None = None
    drift: Path | None = None
    otlp: str | None = None
    jobs: JobBounds | None = None
    bounds: Bounds = field(default_factory=Bounds)
    types: str = "brainseg-types"
    regions: str = "brainseg-regions"

    @property
    def state(self) -> Path | None:
        """The state folder; None where there is none."""
        return self.deployment.parent if self.deployment else None

    def __post_init__(self) -> None:
        for name in (self.model, self.types, self.regions):
            if not _NAME.fullmatch(name):
                raise ValueError(f"model {name!r}: expected letters, digits, '.', '_' and '-', at most 60")
        for name, url in (("inference", self.inference_url), ("management", self.management_url)):
            if not re.fullmatch(r"http://[^/\s]+/?", url):
                raise ValueError(f"{name} URL {url!r}: expected http://HOST:PORT")


def valid_version(text: str) -> bool:
    """Whether ``text`` can be a model version at all; what cannot never reaches a URL."""
    return bool(re.fullmatch(VERSION_PATTERN, text))
