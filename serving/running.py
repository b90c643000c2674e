"""What ``scripts/serve`` has started, and its end."""

from __future__ import annotations

import shutil
import signal
import subprocess
from dataclasses import dataclass, field

from serving import torchserve
from serving.torchserve import Places

END_SECONDS = 10.0
DOOR_END_SECONDS = 15.0  # beyond its drain, in which it says what it cut off; only then TorchServe goes


class StartError(Exception):
    """The server did not start; the message says what to do."""


@dataclass
class Running:
    """What this command has started, in the order of starting."""

    places: Places
    drain_seconds: float = 30.0
    processes: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def ended(self) -> str | None:
        """The name of a process that has ended by itself."""
        return next((name for name, process in self.processes if process.poll() is not None), None)

    def stop(self) -> None:
        for name, process in reversed(self.processes):
            if name == "TorchServe":
                torchserve.stop(process, self.places)
            else:
                end(process, seconds=self.drain_seconds + DOOR_END_SECONDS)
        shutil.rmtree(self.places.temporary, ignore_errors=True)  # also where TorchServe was never started


def end(
    process: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM, seconds: float = END_SECONDS
) -> None:
    """Sends ``number``; after ``seconds`` it is killed."""
    process.send_signal(number)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
