"""Did the memory run out? Libraries say so each in its own words, and what reads a file takes it for a broken file."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

import numpy as np

from handler.errors import RequestError
from handler.limits import DEFAULT_LIMITS

# As said by ONNX Runtime and PyTorch ("allocate memory"), C++ ("bad_alloc", OpenVINO hands it on), CUDA, OpenCV, and
# Python's threading, whose stacks are memory too.
_SAID = re.compile(r"allocate memory|bad_alloc|(?:out of|insufficient) memory|can't start new thread", re.IGNORECASE)


def out_of_memory() -> RequestError:
    """What the client is told."""
    return RequestError(
        "out_of_memory",
        "The worker had not enough memory left for this scan. Try again later, or send fewer or smaller slices.",
    )


def ran_out(error: Exception) -> bool:
    """Whether ``error``, or what it was raised over, says that no memory was left. A refusal that was raised over such
    an error counts only where memory is short still: a broken file may ask for more than any machine has."""
    if not any(map(_says_so, _chain(error))):
        return False
    return not isinstance(error, RequestError) or is_short()


def is_short() -> bool:
    """Whether there is no room for the largest page that a scan may have."""
    try:
        np.empty(DEFAULT_LIMITS.page_bytes, np.uint8)  # not touched, so it costs addresses only
    except MemoryError:
        return True
    return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _says_so(error: BaseException) -> bool:
    if isinstance(error, RequestError):
        return False  # its words are ours
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or bool(_SAID.search(str(error)))
