"""The front door as serving starts it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archive.programs import python
from archive.store import MODEL_NAME, SAMPLES
from rollout.state import DEPLOYMENT_FILE
from serving.torchserve import Places, Ports

PASSPORT_KEYS, DRIFT_FILE = "passport-keys", "drift.json"


@dataclass(frozen=True)
class Door:
    """How the front door listens. ``api_keys``: a file of keys, needed as soon as ``host`` is not loopback;
    ``origins``: of pages elsewhere that may call it; ``drain_seconds``: how long answers in work are waited for at the
    end. ``log_stdout``: its lines go to standard output, not into web.log. ``grpc_port``: None: no gRPC. ``otlp``: a
    collector of traces; None: none. ``jobs``: the folder of jobs, None: there are none; ``jobs_keep`` and
    ``webhook_hosts``: as the front door takes them."""

    host: str
    port: int
    api_keys: Path | None
    origins: tuple[str, ...] = ()
    drain_seconds: float = 30.0
    log_format: str = "text"
    log_level: str = "info"
    log_stdout: bool = False
    grpc_port: int | None = None
    otlp: str | None = None
    jobs: Path | None = None
    jobs_keep: str = "0"
    webhook_hosts: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        shown = "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - a comparison
        return f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"

    def command(self, places: Places, ports: Ports) -> list[str]:
        """What starts it before the TorchServe of ``ports``."""
        command = python("-m", "web.server", "--host", self.host, "--port", str(self.port))
        command += [] if self.grpc_port is None else ["--grpc-port", str(self.grpc_port)]
        command += ["--otlp", self.otlp] if self.otlp else []
        command += ["--inference-url", f"http://127.0.0.1:{ports.inference}"]
        command += ["--management-url", f"http://127.0.0.1:{ports.management}"]
        command += ["--key-file", str(places.key_file), "--model", MODEL_NAME, "--samples", str(SAMPLES)]
        command += ["--deployment", str(places.state / DEPLOYMENT_FILE)]
        command += ["--passport-keys", str(places.state / PASSPORT_KEYS)]
        command += ["--drift", str(places.state / DRIFT_FILE)]
        command += ["--api-keys", str(self.api_keys.resolve())] if self.api_keys else []
        if self.jobs is not None:
            command += ["--jobs", str(self.jobs.resolve()), "--jobs-keep", self.jobs_keep]
            command += [word for host in self.webhook_hosts for word in ("--webhook-host", host)]
        command += [word for origin in self.origins for word in ("--allow-origin", origin)]
        command += ["--wanted", str(places.wanted), "--drain-seconds", str(self.drain_seconds)]
        command += ["--log-format", self.log_format, "--log-level", self.log_level]
        command += [] if self.log_stdout else ["--log", str(places.logs / "web.log")]
        return command
