"""Draws the four sample scans of this folder: ``python -m samples.make``."""

from __future__ import annotations

import io
from pathlib import Path

import tifffile
from PIL import Image

from handler.files import write_atomic
from samples.head import draw_head, nifti_gz
from samples.phantom import Phantom, draw, draw_stack

FOLDER = Path(__file__).parent
LESION, HEALTHY, STACK = "lesion.png", "healthy.png", "stack.tiff"
HEAD = "head.nii.gz"
HAS_LESION = {LESION: True, HEALTHY: False, STACK: True}


def png(phantom: Phantom) -> bytes:
    """The phantom's image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(phantom.image).save(buffer, "PNG", compress_level=9)
    return buffer.getvalue()


def stack_tiff(phantoms: tuple[Phantom, ...]) -> bytes:
    """The phantoms' images as the pages of a TIFF."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for phantom in phantoms:
            writer.write(phantom.image, photometric="rgb", compression="zlib", predictor=True, metadata=None)
    return buffer.getvalue()


def main() -> None:
    """Writes the samples beside this file."""
    write_atomic(FOLDER / LESION, png(draw(1, lesion_radius=0.09)))
    write_atomic(FOLDER / HEALTHY, png(draw(2)))
    write_atomic(FOLDER / STACK, stack_tiff(draw_stack(3, slices=8)))
    write_atomic(FOLDER / HEAD, nifti_gz(draw_head()))


if __name__ == "__main__":
    main()
