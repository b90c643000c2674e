"""As :mod:`tests.bulk.poisoned`, for Ray."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from bulk.cluster import RemoteWorker
from bulk.task import Done, Task
from tests.bulk.poisoned import POISON


class PoisonedActor(RemoteWorker):
    """Dies of :data:`POISON`."""

    def work(self, task: Task) -> Done:
        if Path(task.parts[0].address).read_bytes() == POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().work(task)
