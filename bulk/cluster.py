"""Ray, for who has a cluster: an actor a core that opens the archive once. Tried for 2.60.0.

On one machine the pool does the same without Ray's ports. Ray's own retries are off: after two tries a scan is set
apart by :mod:`bulk.crew`, where Ray alone would try a deadly one for ever.
"""

from __future__ import annotations

import os
import time
from typing import Any

from bulk.crew import Event, Gone, Hand, Ready
from bulk.errors import BulkError
from bulk.release import Opened, one_thread
from bulk.task import Done, Task
from bulk.worker import Setup, Worker

NEEDED = "2.60.0"
# Before Ray is imported: no usage statistics, ever; a token for every call. Whoever has set another mode keeps it.
VARIABLES = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
CPUS_EACH = 1.0
ASK_SECONDS = 0.2
NODE_LOST = "because its node has died"


def prepared() -> Any:
    """Ray, imported with what it must not do switched off. Raises :class:`BulkError` for another version."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = VARIABLES["RAY_USAGE_STATS_ENABLED"]
    os.environ.setdefault("RAY_AUTH_MODE", VARIABLES["RAY_AUTH_MODE"])
    try:
        import ray
    except ImportError as error:
        raise BulkError("--ray needs the extra ray: .venv/bin/pip install 'ray==2.60.0'") from error
    if ray.__version__ != NEEDED:
        raise BulkError(f"Ray {ray.__version__} is installed; --ray was tried with {NEEDED} alone")
    return ray


class RemoteWorker:
    """The actor: as a process of the pool."""

    def __init__(self, setup: Setup, content: bytes) -> None:
        one_thread()
        self._worker = Worker(setup, content)

    def ready(self) -> bool:
        return True

    def work(self, task: Task) -> Done:
        return self._worker.work(task)


class ActorHand:
    """``waiting``: references of results, in the order of the tasks; the first is of the model's opening."""

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor
        self._asked = False  # whether it lives, after an answer that does not say so
        self.waiting: list[tuple[Any, Task | None]] = [(actor.ready.remote(), None)]

    def give(self, task: Task) -> None:
        self.waiting.append((self._actor.work.remote(task), task))

    def heard(self) -> Event | None:
        """Of the first reference, where it is ready."""
        reference, task = self.waiting[0]
        try:
            found = self._ray.get(reference, timeout=0)
        except self._ray.exceptions.GetTimeoutError:
            return None
        except self._ray.exceptions.ActorUnavailableError:
            # Its process or its node: what comes of another question says which.
            time.sleep(ASK_SECONDS)
            self.waiting[0], self._asked = (self._actor.ready.remote(), task), True
            return None
        except self._ray.exceptions.RayActorError as error:
            # Its actors go with a node, by no scan's fault. The words are all that says so; they name a node always.
            moved = NODE_LOST in str(error)
            return Gone("its node was lost" if moved else "its process was lost", not moved)
        except self._ray.exceptions.RayError as error:
            return Gone(f"{type(error).__name__}: {str(error)[-300:]}")
        asked, self._asked = self._asked, False
        if asked and task is not None:  # it lives, and what it was at is lost
            return Gone("its answer was lost", False)
        self.waiting.pop(0)
        return Ready() if task is None else found

    def end(self) -> None:
        self._ray.kill(self._actor, no_restart=True)


class Cluster:
    """``address``: of a cluster's head, ``host:port``, or ``auto``. ``hands``: by default one for each CPU that the
    cluster has when the run begins. ``kind``: of the actors."""

    def __init__(
        self,
        address: str,
        setup: Setup,
        opened: Opened,
        hands: int | None = None,
        kind: type[RemoteWorker] = RemoteWorker,
    ) -> None:
        self._ray = prepared()
        try:
            self._ray.init(address, log_to_driver=False, configure_logging=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise BulkError(f"no Ray cluster answers at {address}: {str(error)[:300]}") from error
        self._setup, self._content = setup, self._ray.put(opened.content)
        self.hands = hands or max(1, int(self._ray.cluster_resources().get("CPU", 1) / CPUS_EACH))
        self._kind = self._ray.remote(num_cpus=CPUS_EACH, max_restarts=0, max_task_retries=0)(kind)

    def start(self) -> Hand:
        return ActorHand(self._ray, self._kind.remote(self._setup, self._content))

    def wait(self, hands: list[Hand], seconds: float) -> list[tuple[Hand, Event]]:
        first = {hand.waiting[0][0]: hand for hand in hands if isinstance(hand, ActorHand) and hand.waiting}
        if not first:
            return []
        ready, _ = self._ray.wait(list(first), num_returns=1, timeout=seconds, fetch_local=True)
        if ready:  # and whatever else is by now
            ready, _ = self._ray.wait(list(first), num_returns=len(first), timeout=0, fetch_local=True)
        found = ((first[one], first[one].heard()) for one in ready)
        return [(hand, event) for hand, event in found if event is not None]

    def close(self) -> None:
        self._ray.shutdown()
