"""``brainseg explain``: one slice in, the picture of what moves the answer and what it means out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from brainseg_client.api import Client
from brainseg_client.errors import BrainSegError, ScanError
from brainseg_client.files import write_atomic
from brainseg_client.jobs import stem_of
from brainseg_client.keys import find_key
from brainseg_client.names import shown
from brainseg_client.segment import DONE, NO_ROOM, NO_SERVER, NOTICE, SOME_FAILED, USAGE, say


@dataclass(frozen=True)
class ExplainOptions:
    """What the command was given; None is left to the server. ``out``: a folder; its files are called as the scan."""

    scan: Path
    out: Path
    url: str
    method: str | None
    question: str | None
    slice: int | None
    window: int | None
    seconds: int | None
    version: str | None
    threshold: float | None
    gate: str | None
    patience: float
    api_key_file: Path | None


def explain(options: ExplainOptions) -> int:
    """Runs the command; the exit status. Writes ``NAME.why.png``, ``NAME.why.json`` and ``NAME.heat.png``; NAME
    is the scan's without its ending, as in ``brainseg segment``."""
    try:
        client = Client(options.url, find_key(options.api_key_file, say), options.patience)
        found = client.explain(
            options.scan,
            method=options.method,
            question=options.question,
            slice=options.slice,
            window=options.window,
            seconds=options.seconds,
            version=options.version,
            threshold=options.threshold,
            gate=options.gate,
        )
    except BrainSegError as error:
        say(f"brainseg: {shown(str(error))}")
        return SOME_FAILED if isinstance(error, ScanError) or error.code == "explain_unavailable" else NO_SERVER
    except (OSError, ValueError) as error:
        say(f"brainseg: {shown(str(error))}")
        return USAGE
    told = {name: value for name, value in found.raw.items() if name != "images"}
    files = {
        "why.png": found.overlay,
        "heat.png": found.heat,
        "why.json": (json.dumps(told, indent=2) + "\n").encode(),  # the last: where it is, the others are
    }
    folder = options.scan.is_dir()
    named = stem_of(Path((options.scan.resolve() if folder else options.scan).name), folder)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{named}.why.json").unlink(missing_ok=True)  # of an earlier answer, whose pictures go
        for ending, content in files.items():
            write_atomic(options.out / f"{named}.{ending}", content)
    except OSError as error:
        say(f"brainseg: {shown(str(error.filename or 'a file'))}: {error.strerror or error}")
        return NO_ROOM
    print(f"{shown(found.said)}\n{shown(found.deletion['said'])}\n{NOTICE}")
    return DONE
