"""Which study a DICOM file is of, from its first bytes: the files of a study are one scan wherever they lie."""

from __future__ import annotations

import io
import warnings

from bulk.book import study_of

STUDY_HEAD = 1 << 16  # the UIDs come before the pixels, and hardly anything large before them
_STUDY = 0x0020000D


def study_in(head: bytes) -> str | None:
    """What stands for the study of the file that begins with ``head``, never the UID itself; None where it does not
    say, or is no DICOM after all."""
    from pydicom.filereader import read_partial

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = read_partial(io.BytesIO(head), lambda tag, _vr, _length: tag > _STUDY, force=True)
        uid = str(dataset.get("StudyInstanceUID") or "")
    except Exception:  # it raises whatever it trips over; whether it is a scan the handler says
        return None
    return study_of(uid) if uid else None
