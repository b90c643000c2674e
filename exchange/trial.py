"""``trial.json`` in the state folder: which version is on trial beside the live one, and how much it is given. Written
by ``scripts/deploy``, read by the front door; it lies beside ``deployment.json``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

TRIAL_FILE = "trial.json"
FORMAT = 1
CANARY, SHADOW = "canary", "shadow"
BY_CLIENT, BY_REQUEST = "client", "request"
PROMOTED = "promoted"  # the one end after which what it answers still counts
STOPPED, BREACHED, UNWATCHED, COMPARED = "stopped", "breached", "unwatched", "compared"
ENDS = (PROMOTED, STOPPED, BREACHED, UNWATCHED, COMPARED)


@dataclass(frozen=True)
class Trial:
    """``id``: of this trial, a new one each time; ``kind``: :data:`CANARY` (it answers a share of the requests that
    name no version) or :data:`SHADOW` (it gets copies of a share of them); ``sha256``: of its archive; ``share``:
    percent, 0..100; ``by``: :data:`BY_CLIENT` or :data:`BY_REQUEST`; ``began``: the trial, ``entered``: its share, UTC
    in ISO 8601; ``steps``: percent still to come, one each ``every_seconds`` (0: by hand); ``ended``: one of
    :data:`ENDS`, empty while it lasts."""

    id: str
    kind: str
    version: str
    sha256: str
    share: float
    by: str
    began: str
    entered: str
    steps: tuple[float, ...] = ()
    every_seconds: float = 0.0
    ended: str = ""

    def __post_init__(self) -> None:
        if self.kind not in (CANARY, SHADOW) or self.by not in (BY_CLIENT, BY_REQUEST):
            raise ValueError(f"kind {self.kind!r}, by {self.by!r}")
        if not all(0 <= share <= 100 for share in (self.share, *self.steps)) or (self.ended and self.share):
            raise ValueError(f"share {self.share} %, then {self.steps}, ended {self.ended!r}")

    def takes(self, key: str) -> bool:
        """Whether ``key`` (a client, a request) is among the share: the same answer for the same key, and whoever was
        taken at a smaller share is taken at a larger one."""
        digest = hashlib.sha256(f"{self.id}\0{key}".encode(errors="surrogatepass")).digest()
        return int.from_bytes(digest[:8], "big") * 100 < self.share * 2**64

    def written(self) -> bytes:
        """The file's content."""
        return (json.dumps({"format": FORMAT, **asdict(self)}, indent=2) + "\n").encode()


def parse_trial(content: bytes) -> Trial:
    """Raises ``ValueError`` for what :meth:`Trial.written` never wrote."""
    raw = json.loads(content)
    if not isinstance(raw, dict) or raw.pop("format", None) != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    try:
        trial = Trial(**{**raw, "share": float(raw["share"]), "steps": tuple(map(float, raw["steps"]))})
    except (TypeError, KeyError) as error:
        raise ValueError(f"it is not a trial: {error}") from error
    if not all(isinstance(value, str) for value in (trial.id, trial.version, trial.sha256, trial.ended)):
        raise ValueError("it is not a trial: words are expected for id, version, digest and end")
    return trial


def read_trial(state: Path) -> Trial | None:
    """What is on trial with the state folder ``state``, or was last; None when nothing ever was. Raises ``ValueError``
    for a file that is not ours, ``OSError``."""
    try:
        return parse_trial((state / TRIAL_FILE).read_bytes())
    except FileNotFoundError:
        return None


def outcomes_path(state: Path, trial_id: str) -> Path:
    """Where the front door writes down what came of each request while the trial lasts."""
    return state / f"trial-{trial_id}.jsonl"
