"""Which pages of a TIFF make up which slice: what ImageJ, OME-TIFF and tifffile say in its first ImageDescription.

Sources: ImageJ's ``TiffDecoder`` and ``HyperStack`` (channels run fastest, then slices, then frames); ``Pixels`` and
``TiffData`` of the OME model 2016-06; tifffile's "shaped" JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from xml.parsers import expat

from handler.errors import RequestError
from handler.scan import Warn

MOST_CHARACTERS = 4 * 2**20  # of OME's XML; a description for each of 200 planes takes 100 kB
MOST_PLANES = 4096  # beyond what any stack may have
CHANNELS = (1, 3, 4)  # RGB and what is dropped like alpha; of two channels nobody knows which the network should see
GUESSED_CHANNELS = 3


@dataclass(frozen=True)
class Axes:
    """``sizes``: axis letter (``C`` channels, ``Z`` slices, ``T`` times) -> length, the one that runs fastest first.
    ``planes``: position along these axes -> number of the page in the file; empty: in order. ``writer``: whose words
    these are."""

    writer: str
    sizes: Mapping[str, int]
    planes: Mapping[tuple[int, ...], int] = field(default_factory=dict)

    @property
    def named(self) -> str:
        return ", ".join(f"{letter}={size}" for letter, size in reversed(list(self.sizes.items())))

    def refusal(self, why: str) -> RequestError:
        """``unsupported_shape`` with the axes named."""
        return RequestError(
            "unsupported_shape",
            f"The TIFF has the axes {self.named} ({self.writer}): {why}. Expected slices (Z) of one time with one "
            "channel or, in the network's order, three, each plane a page of this file.",
        )


def _places(sizes: Mapping[str, int]) -> list[tuple[int, ...]]:
    """All positions along ``sizes``, the first axis running fastest."""
    return [place[::-1] for place in product(*(range(size) for size in reversed(list(sizes.values()))))]


def _count(value: object) -> int:
    """A length out of a text; raises ``ValueError`` unless it is a number from 1 to :data:`MOST_PLANES`."""
    number = int(str(value))
    if not 1 <= number <= MOST_PLANES:
        raise ValueError(f"length {number}")
    return number


def _imagej(text: str) -> Axes | None:
    """Axes of an ImageJ stack: ``images``, ``channels``, ``slices``, ``frames``, one ``key=value`` a line."""
    pairs = dict(line.strip().split("=", 1) for line in text.splitlines() if "=" in line)
    lengths = {
        letter: _count(pairs.get(key, 1)) for letter, key in (("C", "channels"), ("Z", "slices"), ("T", "frames"))
    }
    images = _count(pairs.get("images", math.prod(lengths.values())))
    if math.prod(lengths.values()) == 1:  # a plain stack does not say along what
        lengths["Z"] = images
    order = pairs.get("order", "czt").upper()
    axes = Axes("ImageJ", {letter: lengths[letter] for letter in (order if sorted(order) == list("CTZ") else "CZT")})
    if math.prod(lengths.values()) != images:
        raise axes.refusal(f"it speaks of {images} images")
    return axes


def _shaped(text: str) -> Axes | None:
    """Axes of a file by tifffile, which writes a shape, and the letters where the program gave them."""
    said = json.loads(text)
    if not isinstance(said, dict) or not isinstance(said.get("axes"), str) or not isinstance(said.get("shape"), list):
        return None
    letters = said["axes"].upper()
    if len(letters) != len(said["shape"]):
        return None
    pages = [(letter, _count(size)) for letter, size in zip(letters, said["shape"], strict=True) if letter not in "YXS"]
    sizes: dict[str, int] = {}
    for letter, size in reversed(pages):
        known = letter if letter in "CT" else "Z"
        if known in sizes:
            raise Axes("tifffile", dict(reversed(pages))).refusal("two of them would be slices")
        sizes[known] = size
    if letters.find("C") > max(letters.find("Y"), letters.find("X")):  # within a page
        sizes.pop("C", None)
    return Axes("tifffile", sizes)


class _OmeReader:
    """Collects attributes as the parser meets them; no tree, so that memory stays that of the text."""

    def __init__(self) -> None:
        self.pixels: list[dict[str, str]] = []
        self.samples: list[int] = []
        self.blocks: list[dict[str, str]] = []
        self.files: set[str] = set()

    def start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local == "Pixels":
            self.pixels.append(attributes)
        elif local == "Channel":
            self.samples.append(_count(attributes.get("SamplesPerPixel", 1)))
        elif local == "TiffData":
            self.blocks.append(attributes)
        elif local == "UUID" and "FileName" in attributes:
            self.files.add(attributes["FileName"])

    @staticmethod
    def refuse_entities(*_: object) -> None:
        raise ValueError("OME-XML declares no entities")


def _read_ome(text: str) -> _OmeReader:
    reader, parser = _OmeReader(), expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EntityDeclHandler = reader.refuse_entities
    parser.Parse(text, True)
    return reader


def _ome_planes(reader: _OmeReader, sizes: dict[str, int], samples: int) -> dict[tuple[int, ...], int]:
    """Position along ``sizes`` -> page number, as the TiffData blocks have it; empty: all in order."""
    positions = _places(sizes)
    rank = {place: number for number, place in enumerate(positions)}
    planes: dict[tuple[int, ...], int] = {}
    for block in reader.blocks:
        first = {letter: int(block.get(f"First{letter}", 0)) for letter in sizes}
        begin = rank[tuple(first[letter] // (samples if letter == "C" else 1) for letter in sizes)]
        ifd = int(block.get("IFD", 0))
        count = int(block.get("PlaneCount", 1 if "IFD" in block else len(positions)))
        for place in positions[begin : begin + count]:
            planes[place] = ifd
            ifd += 1
    return planes


def _ome(text: str) -> Axes | None:
    reader = _read_ome(text)
    if len(reader.pixels) != 1:
        raise RequestError(
            "unsupported_shape", f"The OME-TIFF holds {len(reader.pixels)} images; expected one. Export one series."
        )
    (pixels,) = reader.pixels
    samples = max(reader.samples, default=1)
    lengths = {letter: _count(pixels[f"Size{letter}"]) for letter in "CZT"}
    lengths["C"] = max(lengths["C"] // samples, 1)
    order = pixels.get("DimensionOrder", "XYCZT")[2:]
    sizes = {letter: lengths[letter] for letter in (order if sorted(order) == list("CTZ") else "CZT")}
    if len(reader.files) > 1:
        raise Axes("OME", sizes).refusal(f"its planes lie in {len(reader.files)} files")
    if math.prod(sizes.values()) > MOST_PLANES or len(reader.blocks) > MOST_PLANES:
        raise Axes("OME", sizes).refusal(f"more than {MOST_PLANES} planes")
    return Axes("OME", sizes, _ome_planes(reader, sizes, samples))


def read_axes(description: str) -> Axes | None:
    """The axes that a TIFF's first ImageDescription names; None where it names none. Raises ``unsupported_shape``, or
    ``corrupt_image`` for a text that begins like one of these and cannot be read: its channels would become slices."""
    text = description.strip("\0 \r\n\t")
    dialects = {"ImageJ=": _imagej, "<?xml": _ome, "<OME": _ome, '{"shape"': _shaped}
    reader = next((read for begin, read in dialects.items() if text.startswith(begin)), None)
    if reader is None or (reader is _ome and "<OME" not in text[:4096] and ":OME" not in text[:4096]):
        return None
    try:
        if len(text) > MOST_CHARACTERS:
            raise ValueError(f"{len(text)} characters")
        return reader(text)
    except (ValueError, KeyError, TypeError, RecursionError, expat.ExpatError) as error:
        raise RequestError(
            "corrupt_image",
            f"The TIFF's description of its axes cannot be read ({type(error).__name__}). Save the scan again.",
        ) from error


@dataclass(frozen=True)
class Arrangement:
    """``slices``: for each slice the numbers of its pages, one or one a channel."""

    slices: tuple[tuple[int, ...], ...]
    warnings: tuple[Warn, ...] = ()


def arrange(axes: Axes | None, pages: Sequence[int], samples: int, grey: bool) -> Arrangement:
    """How the ``pages``, by their numbers in the file, make up slices. ``samples``: of a pixel in each page; ``grey``:
    they are plain grey, so three of them could be channels.

    Raises ``unsupported_shape`` for times, two or more than four channels, and axes that are not those of the pages."""
    if axes is None:
        unclear = grey and samples == 1 and len(pages) % GUESSED_CHANNELS == 0
        return Arrangement(tuple((page,) for page in pages), _unclear(len(pages)) if unclear else ())
    channels = axes.sizes.get("C", 1)
    if 1 < channels == samples and not axes.planes:  # they lie within the page
        axes, channels = replace(axes, sizes={**axes.sizes, "C": 1}), 1
    if axes.sizes.get("T", 1) > 1:
        raise axes.refusal("several times")
    if channels not in CHANNELS or (channels > 1 and (samples > 1 or not grey)):
        raise axes.refusal(f"{channels} channels of {samples} samples a pixel")
    total = math.prod(axes.sizes.values())
    if total != len(pages):
        raise axes.refusal(f"{total} planes, and {len(pages)} pages")
    numbers = axes.planes or dict(zip(_places(axes.sizes), pages, strict=True))
    if set(numbers.values()) != set(pages) or len(numbers) != total:
        raise axes.refusal("some planes have no page of their own")
    letters = list(axes.sizes)
    slices: dict[int, dict[int, int]] = {}
    for place, number in numbers.items():
        at = dict(zip(letters, place, strict=True))
        slices.setdefault(at.get("Z", 0), {})[at.get("C", 0)] = number
    arranged = tuple(tuple(page for _, page in sorted(slices[z].items())) for z in sorted(slices))
    dropped = (Warn("alpha_dropped", "the fourth channel was dropped"),) if channels > 3 else ()
    return Arrangement(tuple(group[:3] for group in arranged), dropped)


def _unclear(pages: int) -> tuple[Warn, ...]:
    return (
        Warn(
            "channels_unclear",
            f"{pages} grey pages were read as {pages} slices; if they are 3 channels of {pages // 3}, send RGB pages, "
            "or a TIFF that says so (ImageJ, OME)",
        ),
    )
