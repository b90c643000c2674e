"""What is on trial now, as the state folder says; seen at once when it changes."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from exchange.outcome import Compared, Outcome, line_of
from exchange.trial import PROMOTED, TRIAL_FILE, Trial, outcomes_path, parse_trial

logger = logging.getLogger(__name__)
MOST_BYTES = 16 * 2**20  # some 100 000 requests: by then it is known which version is better


class Trials:
    """``state``: the folder; None: nothing is ever on trial. Safe to use from several threads."""

    def __init__(self, state: Path | None) -> None:
        self._state = state
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._trial: Trial | None = None

    def now(self) -> Trial | None:
        """What is on trial, or was last. A file that cannot be read counts as none."""
        if self._state is None:
            return None
        path = self._state / TRIAL_FILE
        with self._lock:
            try:
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_ino)
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._trial = parse_trial(path.read_bytes())
            except FileNotFoundError:
                self._trial, self._stamp = None, None
            except (OSError, ValueError) as error:
                self._trial = None
                logger.warning("the file of the version on trial cannot be read: %s", type(error).__name__)
            return self._trial

    def over(self, trial: Trial) -> bool:
        """Whether ``trial`` has been taken back since: then nobody waits for its version any more."""
        now = self.now()
        return now is None or now.id != trial.id or (not now.share and now.ended != PROMOTED)

    def note(self, trial: Trial, one: Outcome | Compared) -> None:
        """Writes down for who watches what came of a request; never raises. After the end of ``trial`` nothing is."""
        now = self.now()
        if self._state is None or now is None or now.id != trial.id or now.ended:
            return
        try:
            with outcomes_path(self._state, trial.id).open("ab") as file:
                if file.tell() < MOST_BYTES:
                    file.write(line_of(one))
        except OSError as error:
            logger.warning("what came of a trial's request cannot be written down: %s", error.strerror)
