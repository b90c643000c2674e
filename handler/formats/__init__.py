"""The file formats a scan may come in. A new one is one with ``NAME``, ``matches`` and ``read`` and a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from handler.formats import jpeg, png, tiff
from handler.formats.raster import Raster
from handler.limits import Limits


@dataclass(frozen=True)
class Format:
    """``matches`` looks at the first bytes; ``read`` refuses from the header before it spends memory."""

    name: str
    matches: Callable[[bytes], bool]
    read: Callable[[bytes, Limits], Raster]


FORMATS = tuple(Format(module.NAME, module.matches, module.read) for module in (jpeg, png, tiff))
