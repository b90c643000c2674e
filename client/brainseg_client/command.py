"""``brainseg COMMAND …``: options in, a call, an exit code out."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from brainseg_client.classify import ClassifyOptions, classify
from brainseg_client.explain import ExplainOptions, explain
from brainseg_client.interrupts import INTERRUPTED
from brainseg_client.reasons import METHODS, QUESTIONS
from brainseg_client.segment import NOTICE, USAGE, Options, say, segment
from brainseg_client.study import StudyOptions, segment_study
from brainseg_client.verify import VerifyOptions, verify
from brainseg_client.wire import DEFAULT_URL

URL_VARIABLE = "BRAINSEG_URL"
T = TypeVar("T", bound=Callable[[str], Any])


def _called_number(read: T) -> T:
    read.__name__ = "number"  # in argparse's messages
    return read


def _whole(low: int, high: int | None = None) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < low or (high is not None and value > high):
            expected = f"{low} to {high}" if high is not None else f"{low} or more"
            raise argparse.ArgumentTypeError(f"got {value}, expected {expected}")
        return value

    return _called_number(read)


@_called_number
def _seconds(text: str) -> float:
    value = float(text)
    if not (value >= 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"got {text}, expected seconds, 0 or more")
    return value


@_called_number
def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0 and below 1")
    return value


def _path(text: str) -> Path:
    if not text.strip():  # a shell's variable that is not set: the folder where one stands
        raise argparse.ArgumentTypeError("it is empty, expected a file or a folder")
    return Path(text)


_path.__name__ = "path"  # in argparse's messages


def _segment_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "brainseg segment",
        description="Segment SCANS and write masks, overlays and tables into OUT. Run it again to go on where it "
        "stopped.",
        epilog="Exit status: 0 all done, 1 some scans were refused, 2 wrong use, 3 no server or no access, 4 results "
        f"cannot be written, 130 interrupted. {NOTICE}",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "scans",
        nargs="+",
        type=_path,
        metavar="SCANS",
        help="pictures, NIfTI, DICOM or zips of it, or folders that are searched below",
    )
    add("--out", type=_path, required=True, help="folder for the results; made when missing")
    add("--url", help=f"the front door; else {URL_VARIABLE}, else {DEFAULT_URL}")
    add("--version", help="model version; else the server's default")
    add("--model", metavar="NAME", help="a model beside the segmentation, such as brainseg-regions (parts of a tumour)")
    add("--threshold", type=_share, help="0 < t < 1; else the model's")
    add("--min-lesion-pixels", type=_whole(0), metavar="N", help="smallest lesion; else the model's")
    add("--tta", choices=("none", "flip"), help="flip: look at each slice in the mirror too, at twice the time")
    add("--parallel", type=_whole(1, 16), default=4, metavar="N", help="requests at a time (default 4)")
    add("--patience", type=_seconds, default=300.0, metavar="SECONDS", help="wait for a busy server, a scan (300)")
    add("--skip", default="*_mask.*", metavar="PATTERN", help="in folders, leave out files of this name: by default "
        "truth masks, *_mask.*")  # fmt: skip
    add("--job", action="store_true", help="each scan as a job, which outlives a broken connection and a server that "
        "starts again; it needs --jobs")  # fmt: skip
    add("--api-key-file", type=_path, metavar="FILE", help="else BRAINSEG_API_KEY")
    return parser


def _study_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "brainseg segment --dicomweb",
        description="Segment a study of an archive that speaks DICOMweb; the results go into OUT, and with --store SEG "
        "and reports back into the archive.",
        epilog=f"Exit status: 0 done, 1 refused, 2 wrong use, 3 no server, no archive or no access. {NOTICE}",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--dicomweb", required=True, metavar="URL", help="root of the archive's service, such as …/dicom-web")
    add("--study", required=True, metavar="UID", help="Study Instance UID")
    add("--out", type=_path, required=True, help="folder for the results; made when missing")
    add("--model", metavar="NAME", help="a model beside the segmentation, such as brainseg-regions (parts of a tumour)")
    add("--store", action="store_true", help="store SEG and reports in the archive")
    add("--series", type=_whole(0), metavar="N", help="which series, where the server says that there are several")
    add("--url", help=f"the front door; else {URL_VARIABLE}, else {DEFAULT_URL}")
    add("--version", help="model version; else the server's default")
    add("--patience", type=_seconds, default=300.0, metavar="SECONDS", help="wait for a busy server (300)")
    add("--api-key-file", type=_path, metavar="FILE", help="else BRAINSEG_API_KEY")
    return parser


def _segment(arguments: Sequence[str]) -> int:
    if any(one.split("=")[0] == "--dicomweb" for one in arguments):
        study = vars(_study_parser().parse_args(arguments))
        study["url"] = study["url"] or os.environ.get(URL_VARIABLE) or DEFAULT_URL
        return segment_study(StudyOptions(**study), say)
    given = vars(_segment_parser().parse_intermixed_args(arguments))
    given["url"] = given["url"] or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    return segment(Options(**given))


def _verify_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "brainseg verify",
        description="Check the signature of PASSPORT and that it is of these scans; with a server, let it answer again "
        "and compare mask and figures.",
        epilog="Exit status: 0 it is as the passport says, 1 it is not, 2 wrong use, 3 no server or no access. "
        f"{NOTICE}",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("passport", type=_path, metavar="PASSPORT", help="the answer, or its passport alone, as JSON")
    add(
        "scans",
        nargs="+",
        type=_part,
        metavar="FILE",
        help="the scan as it was sent; sequences as flair=FILE t1=FILE t1c=FILE",
    )
    add("--server", metavar="URL", help="replay there")
    add("--keys", type=_path, metavar="PLACE", help="public key, or folder of *.pub; else those that the server lists")
    add("--patience", type=_seconds, default=300.0, metavar="SECONDS", help="wait for a busy server (300)")
    add("--api-key-file", type=_path, metavar="FILE", help="else BRAINSEG_API_KEY")
    return parser


def _part(text: str) -> tuple[str, Path]:
    part, found, path = text.partition("=")
    return (part, _path(path)) if found and part in ("flair", "t1", "t1c") else ("file", _path(text))


_part.__name__ = "file"  # in argparse's messages


def _verify(arguments: Sequence[str]) -> int:
    parser = _verify_parser()
    given = vars(parser.parse_intermixed_args(arguments))
    scans = dict(given["scans"])
    if len(scans) != len(given["scans"]) or ("file" in scans and len(scans) > 1):
        parser.error("one FILE by itself, or flair=FILE and others by name, each once")
    return verify(VerifyOptions(**{**given, "scans": scans}))


def _explain_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "brainseg explain",
        description="Write what of one slice of SCAN moves the model's answer into OUT: NAME.why.png (over the scan), "
        "NAME.heat.png (values) and NAME.why.json.",
        epilog="Exit status: 0 done, 1 refused, 2 wrong use, 3 no server or no access, 4 results cannot be written. "
        f"{NOTICE}",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("scan", type=_path, metavar="SCAN", help="a picture, NIfTI, DICOM or a zip of it")
    add("--out", type=_path, required=True, help="folder for the results; made when missing")
    add("--url", help=f"the front door; else {URL_VARIABLE}, else {DEFAULT_URL}")
    add("--method", choices=METHODS, help="by gradients, or by covering a part at a time (gradcam)")
    add("--question", choices=QUESTIONS, help="what moves the verdict, or the area (verdict)")
    add("--slice", type=_whole(0), metavar="N", help="counted from 0; needed where there are several")
    add("--window", type=_whole(8, 512), metavar="PIXELS", help="of occlusion: the side of what is covered")
    add("--seconds", type=_whole(1, 300), metavar="SECONDS", help="the longest that it may take (30)")
    add("--version", help="model version; else the server's default")
    add("--threshold", type=_share, help="0 < t < 1; else the model's")
    add("--gate", choices=("on", "off"), help="off: also of what the model does not know")
    add("--patience", type=_seconds, default=300.0, metavar="SECONDS", help="wait for a busy server (300)")
    add("--api-key-file", type=_path, metavar="FILE", help="else BRAINSEG_API_KEY")
    return parser


def _explain(arguments: Sequence[str]) -> int:
    given = vars(_explain_parser().parse_args(arguments))
    given["url"] = given["url"] or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    return explain(ExplainOptions(**given))


def _classify_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "brainseg classify",
        description="Say which type of tumour each of SCANS shows, a line each. The model names one of its classes "
        "whatever it sees.",
        epilog=f"Exit status: 0 done, 1 some were refused, 2 wrong use, 3 no server, model or access. {NOTICE}",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("scans", nargs="+", type=_path, metavar="SCAN", help="pictures, NIfTI, DICOM or zips of it")
    add("--url", help=f"the front door; else {URL_VARIABLE}, else {DEFAULT_URL}")
    add("--slice", type=_whole(0), metavar="N", help="counted from 0; needed where there are several")
    add("--version", help="model version; else the server's default")
    add("--json", action="store_true", dest="as_json", help="print the whole answers, a line of JSON each")
    add("--patience", type=_seconds, default=300.0, metavar="SECONDS", help="wait for a busy server (300)")
    add("--api-key-file", type=_path, metavar="FILE", help="else BRAINSEG_API_KEY")
    return parser


def _classify(arguments: Sequence[str]) -> int:
    given = vars(_classify_parser().parse_args(arguments))
    given["url"] = given["url"] or os.environ.get(URL_VARIABLE) or DEFAULT_URL
    return classify(ClassifyOptions(**given))


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "segment": (_segment, "files and folders of scans: masks, overlays and tables"),
    "classify": (_classify, "slices: the type of tumour, a line each"),
    "explain": (_explain, "one slice: a picture of what moves the answer"),
    "verify": (_verify, "a passport: whose it is, of which scan, and the same again from a server"),
}


def main(arguments: Sequence[str]) -> int:
    """The exit status of ``brainseg ARGUMENTS``."""
    for stream in (sys.stdout, sys.stderr):
        # Names hold what a terminal's encoding may not.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    usage = "\n".join(f"  {name:<12}{words}" for name, (_, words) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        "brainseg", description=f"The client of a BrainSeg server. {NOTICE}", epilog=f"commands:\n{usage}",
        formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
    )  # fmt: skip
    parser.add_argument("command", choices=COMMANDS)
    try:
        # Only the first word is this parser's: the command reads the rest.
        chosen = parser.parse_args(arguments[:1])
        return COMMANDS[chosen.command][0](arguments[1:])
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else USAGE
