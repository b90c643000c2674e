"""A request -> what was sent, decoded: a picture or a scan with geometry."""

from __future__ import annotations

from handler.decode import open_scan
from handler.errors import RequestError
from handler.limits import Limits
from handler.request import FILE_PART, Request
from handler.subject import Picture, Subject
from handler.turns import Turn
from handler.volumes.subject import read


def open_subject(request: Request, limits: Limits, turn: Turn) -> Subject:
    """What was sent, decoded, at its ``turn`` where it is large. Raises the refusals of the decoders, and
    ``invalid_parameter`` for a field that says nothing about this kind of scan."""
    turn.before_decoding(request)
    fields = request.fields
    if request.geometric:
        if fields.intensity_range is not None:
            raise RequestError(
                "invalid_parameter",
                "Field intensity_range is for pictures; each sequence of a scan with geometry is scaled by itself.",
            )
        return read(request.scans, fields.series, fields.register, limits)
    meant = [name for name in ("series", "register", "seg") if getattr(fields, name)]
    if meant:
        raise RequestError("invalid_parameter", f"Field {meant[0]} is for NIfTI and DICOM; the scan is a picture.")
    scan = open_scan(request.scans[FILE_PART], limits)
    turn.before_pixels(scan)
    return Picture(scan, fields.intensity_range, limits)
