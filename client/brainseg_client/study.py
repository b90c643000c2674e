"""``brainseg segment --dicomweb``: a study out of an archive, its results into a folder and back into the archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from brainseg_client.api import Client
from brainseg_client.dicomweb import Archive
from brainseg_client.errors import BrainSegError, ScanError, UnreachableError
from brainseg_client.files import write_atomic
from brainseg_client.keys import find_key
from brainseg_client.names import shown
from brainseg_client.results import Segmentation
from brainseg_client.volumes import RESULT, result_of, unpacked, zipped

DONE, REFUSED, USAGE, NO_SERVER = 0, 1, 2, 3
NOTICE = "Research use only. Not a medical device."


@dataclass(frozen=True)
class StudyOptions:
    """What the command was given. ``series``: the number of one of several, as the server counts them; ``store``:
    whether SEG and reports go back into the archive."""

    dicomweb: str
    study: str
    out: Path
    url: str
    version: str | None
    series: int | None
    store: bool
    patience: float
    api_key_file: Path | None
    model: str | None = None


def _said(answer: Segmentation) -> str:
    """Verdict and volumes in words. Raises :class:`UnreachableError` where the labels are not the contract's."""
    try:
        parts = "".join(f"{shown(one['name'])} {one['volume_ml']} ml. " for one in answer.labels or ())
    except (KeyError, TypeError) as error:
        raise UnreachableError("unreachable", f"the labels in the answer's {RESULT} are not the contract's") from error
    return f"{answer.verdict}, {answer.tumor_volume_ml} ml. {parts}"


def _run(options: StudyOptions, say: Callable[[str], None]) -> int:
    archive = Archive(options.dicomweb)
    client = Client(options.url, find_key(options.api_key_file, say), options.patience)
    series = archive.mr_series(options.study)
    files = [one for uid in series for one in archive.instances(options.study, uid)]
    say(f"{len(files)} objects of {len(series)} MR series")
    results = unpacked(
        client.archive(zipped(files), version=options.version, series=options.series, model=options.model)
    )
    found = _said(result_of(results))  # what is no answer is neither written nor stored
    for name, data in results.items():
        write_atomic(options.out / name, data)
    objects = [data for name, data in sorted(results.items()) if name.endswith(".dcm")]
    if options.store and objects:
        archive.store(options.study, objects)
    kept = f"{len(objects)} objects stored in the archive. " if options.store else ""
    print(f"{found}{kept}Results: {shown(str(options.out))}. {NOTICE}")
    return DONE


def segment_study(options: StudyOptions, say: Callable[[str], None]) -> int:
    """Runs the command; the exit status. ``say`` gets lines beside the results."""
    try:
        return _run(options, say)
    except ScanError as error:
        say(f"brainseg: {shown(str(error))}")
        return REFUSED
    except BrainSegError as error:
        say(f"brainseg: {shown(str(error))}")
        return NO_SERVER
    except ValueError as error:
        say(f"brainseg: {error}")
        return USAGE
    except OSError as error:
        say(f"brainseg: {shown(str(error.filename or 'a file'))}: {error.strerror or error}")
        return USAGE
