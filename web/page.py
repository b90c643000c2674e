"""The web page and its sample scans."""

from __future__ import annotations

import gzip
from dataclasses import asdict, dataclass
from pathlib import Path

from flask import Blueprint, Response, current_app, jsonify, render_template, request, send_from_directory

from web.contract.fields import NOTICE, RefusedError
from web.door import Door

page = Blueprint("page", __name__)


@dataclass(frozen=True)
class Sample:
    """A scan to try the page with. ``file``: its name in the folder of samples."""

    file: str
    title: str
    note: str


SAMPLES = (
    Sample("lesion.png", "Head with a lesion", "Drawn phantom, one slice"),
    Sample("healthy.png", "Head without a lesion", "Drawn phantom, one slice"),
    Sample("stack.tiff", "Stack of slices", "Drawn phantom, lesion grows and shrinks"),
    Sample("head.nii.gz", "Whole head, NIfTI", "Drawn phantom, a volume with one lesion"),
)


NIIVUE = Path(__file__).parent / "static" / "vendor" / "niivue-0.69.0.js.gz"


def _folder() -> Path | None:
    door = current_app.extensions["brainseg"]
    return door.settings.samples if isinstance(door, Door) else None


@page.get("/")
def index() -> str:
    """The one page."""
    return render_template("index.html", notice=NOTICE)


@page.get("/samples/")
def samples() -> Response:
    """The samples that are there."""
    folder = _folder()
    return jsonify([asdict(sample) for sample in SAMPLES if folder and (folder / sample.file).is_file()])


@page.get("/samples/<name>")
def sample(name: str) -> Response:
    """One of :data:`SAMPLES`."""
    folder = _folder()
    if folder is None or name not in {known.file for known in SAMPLES} or not (folder / name).is_file():
        raise RefusedError("not_found", "No such sample; GET /samples/ lists them.")
    # Said, else what ends in .gz goes out as a text that the browser unpacks on its way.
    kind = "application/gzip" if name.endswith(".gz") else None
    return send_from_directory(folder.resolve(), name, mimetype=kind)


@page.get("/static/vendor/niivue-0.69.0.js")
def niivue() -> Response:
    """The viewer of volumes, kept packed: a third of the bytes in the repository and on the way."""
    packed = NIIVUE.read_bytes()
    takes = "gzip" in request.headers.get("Accept-Encoding", "")
    response = Response(packed if takes else gzip.decompress(packed), mimetype="text/javascript")
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    if takes:
        response.headers["Content-Encoding"] = "gzip"
    return response
