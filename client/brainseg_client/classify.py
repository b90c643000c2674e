"""``brainseg classify``: slices in, a line with the type of tumour for each out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brainseg_client.api import Client
from brainseg_client.errors import BrainSegError, ScanError
from brainseg_client.keys import find_key
from brainseg_client.names import shown
from brainseg_client.segment import DONE, NO_SERVER, NOTICE, SOME_FAILED, USAGE, say
from brainseg_client.types import Classification


@dataclass(frozen=True)
class ClassifyOptions:
    """What the command was given; None is left to the server. ``as_json``: a line of JSON for each scan."""

    scans: Sequence[Path]
    url: str
    slice: int | None
    version: str | None
    as_json: bool
    patience: float
    api_key_file: Path | None


def classify(options: ClassifyOptions) -> int:
    """Runs the command; the exit status. A scan that is refused is said on stderr, and the others are asked."""
    status = DONE
    try:
        client = Client(options.url, find_key(options.api_key_file, say), options.patience)
        for scan in options.scans:
            try:
                found = client.classify(scan, slice=options.slice, version=options.version)
            except ScanError as error:
                say(f"{shown(str(scan))}: {shown(str(error))}")
                status = SOME_FAILED
                continue
            print(_line(scan, found, options.as_json), flush=True)
    except BrainSegError as error:
        say(f"brainseg: {shown(str(error))}")
        return NO_SERVER
    except (OSError, ValueError) as error:
        say(f"brainseg: {shown(str(error))}")
        return USAGE
    say(f"{NOTICE} The model names one of its classes whatever it sees.")
    return status


def _line(scan: Path, found: Classification, as_json: bool) -> str:
    if as_json:
        return json.dumps({"file": str(scan), **found.raw})
    chances = sorted(found.probabilities.items(), key=lambda item: -item[1])
    return f"{shown(str(scan))}: {shown(found.label)} ({', '.join(f'{shown(n)} {c:.3f}' for n, c in chances)})"
