"""Values out of a dataset that anybody may have written: bounded, finite, or refused by the element's name alone."""

from __future__ import annotations

import io
import math
from typing import Any

from pydicom import config
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.filereader import read_sequence

from handler.errors import RequestError

LONGEST = 4096  # bytes of a value that is read here: a list of a million numbers costs a hundred times its text
# Else pydicom warns about odd values by quoting them.
config.settings.reading_validation_mode = config.IGNORE


class Budget:
    """How many elements and items may still be read: each costs hundreds of bytes however few it takes in a file."""

    def __init__(self, elements: int) -> None:
        self.left = elements
        self.allowed = elements

    def spend(self) -> None:
        """Raises ``too_large`` when nothing is left."""
        self.left -= 1
        if self.left < 0:
            raise RequestError(
                "too_large", f"The DICOM headers hold more than {self.allowed} elements. Send fewer series."
            )


class Metered(io.BytesIO):
    """Bytes whose reading costs: pydicom reads once for every element and item, at least."""

    def __init__(self, data: bytes, budget: Budget) -> None:
        super().__init__(data)
        self._budget = budget

    def read(self, size: int | None = -1, /) -> bytes:
        self._budget.spend()
        return super().read(size)


def unreadable(keyword: str) -> RequestError:
    """For an element that is there but is not what the standard says."""
    return RequestError(
        "corrupt_image", f"The element {keyword} of a DICOM file cannot be read. Export the series again."
    )


def value(dataset: Any, keyword: str) -> Any:
    """The value of an element, None where it is missing or empty. Raises ``corrupt_image``."""
    tag = tag_for_keyword(keyword)
    if dataset is None or tag is None or tag not in dataset:
        return None
    try:
        element = dataset.get_item(tag)
        if isinstance(element, RawDataElement) and element.value is not None and len(element.value) > LONGEST:
            raise unreadable(keyword)
        found = dataset[tag].value
    except RequestError:
        raise
    except Exception:
        raise unreadable(keyword) from None
    return None if found is None or found == "" or (not isinstance(found, int | float | str) and not found) else found


def numbers(dataset: Any, keyword: str) -> tuple[float, ...] | None:
    """All values of an element as finite numbers; None where it is missing or empty."""
    found = value(dataset, keyword)
    if found is None:
        return None
    try:
        several = tuple(float(x) for x in ([found] if isinstance(found, int | float | str) else found))
    except Exception:
        raise unreadable(keyword) from None
    if not all(math.isfinite(number) for number in several):
        raise unreadable(keyword)
    return several


def number(dataset: Any, keyword: str) -> float | None:
    """The first of :func:`numbers`."""
    several = numbers(dataset, keyword)
    return several[0] if several else None


def exactly(dataset: Any, keyword: str, count: int) -> tuple[float, ...] | None:
    """:func:`numbers`, of which there must be ``count``."""
    several = numbers(dataset, keyword)
    if several is not None and len(several) != count:
        raise unreadable(keyword)
    return several


def whole(dataset: Any, keyword: str, default: int | None = None) -> int:
    """A whole number; where it is missing ``default``, else ``corrupt_image``."""
    found = number(dataset, keyword)
    if found is None and default is not None:
        return default
    if found is None or found != int(found):
        raise unreadable(keyword)
    return int(found)


def texts(dataset: Any, keyword: str) -> tuple[str, ...]:
    """All values of an element as text, stripped; none where it is missing."""
    found = value(dataset, keyword)
    if found is None:
        return ()
    several = [found] if isinstance(found, int | float | str) else list(found)
    return tuple(str(one).strip(" \0") for one in several)


def text(dataset: Any, keyword: str) -> str | None:
    """The first of :func:`texts`, None where it is empty."""
    several = texts(dataset, keyword)
    return several[0] or None if several else None


def items(dataset: Any, keyword: str, budget: Budget) -> list[Any]:
    """The items of a sequence, read within ``budget``; none where it is missing."""
    tag = tag_for_keyword(keyword)
    if dataset is None or tag is None or tag not in dataset:
        return []
    try:
        element = dataset.get_item(tag)
        if isinstance(element, RawDataElement):
            content = element.value or b""
            sequence = read_sequence(
                Metered(content, budget),
                element.is_implicit_VR,
                element.is_little_endian,
                len(content),
                dataset.original_character_set,
            )
            dataset[tag] = DataElement(tag, "SQ", sequence)
        return list(dataset[tag].value or [])
    except RequestError:
        raise
    except Exception:
        raise unreadable(keyword) from None


def first(dataset: Any, keyword: str, budget: Budget) -> Any:
    """The first item of a sequence, None where there is none."""
    found = items(dataset, keyword, budget)
    return found[0] if found else None
