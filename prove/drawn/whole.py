"""A whole scan of each format and coding that is read, by name: what gets damaged on purpose."""

from __future__ import annotations

import functools

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from prove.drawn.pictures import TiffPage, chunk, exif, jpeg, png, ramp, tiff, tiff_of
from prove.drawn.volumes import (
    JPEG_2000,
    JPEG_BASELINE,
    JPEG_LOSSLESS,
    JPEG_LS,
    RLE,
    dicom_enhanced,
    dicom_series,
    dicom_zip,
    nifti,
    phantom,
    zipped,
)

SCAN = phantom((18, 20, 4))


@functools.cache
def whole_pictures() -> dict[str, bytes]:
    """Each decodes."""
    stack = list(ramp(2 * 32, 40).reshape(2, 32, 40))
    return {
        "png-grey": png(ramp(32, 40)),
        "png-rgb16-exif": png(ramp(32, 40, 3, "uint16"), [chunk(b"eXIf", exif(6)), chunk(b"tEXt", b"k\0v")]),
        "jpeg-rgb": jpeg(ramp(32, 40, 3), orientation=3),
        "jpeg-progressive": jpeg(ramp(32, 40), progressive=True),
        "tiff-plain": tiff_of(TiffPage(32, 32, bytes(range(256)) * 4), TiffPage(32, 32, bytes(1024))),
        "tiff-deflate": tiff(stack, compression="zlib", predictor=True),
        "tiff-lzw-big-endian": tiff(stack, compression="lzw", byteorder=">"),
        "tiff-big-float": tiff(ramp(32, 40, 1, "float32")[..., 0], bigtiff=True),
        "tiff-jpeg": tiff(ramp(32, 48, 3), photometric="rgb", compression="jpeg", tile=(16, 16)),
    }


@functools.cache
def whole_volumes() -> dict[str, bytes]:
    """Each is read. One zip is stored, so that damage reaches the scans in it."""
    return {
        "nifti1": nifti(SCAN),
        "nifti2 big-endian": nifti(SCAN, version=2, big_endian=True),
        "nifti gzip": nifti(SCAN, packed=True),
        "enhanced": dicom_enhanced(SCAN),
        "enhanced jpeg-ls": dicom_enhanced(SCAN, transfer_syntax=JPEG_LS),
        "slice": dicom_series(SCAN)[0][1],
        "slice implicit": dicom_series(SCAN, transfer_syntax=ImplicitVRLittleEndian)[0][1],
        "slice big-endian": dicom_series(SCAN, transfer_syntax=ExplicitVRBigEndian)[0][1],
        "slice deflated": dicom_series(SCAN, transfer_syntax=DeflatedExplicitVRLittleEndian)[0][1],
        "slice rle": dicom_series(SCAN, transfer_syntax=RLE)[0][1],
        "slice jpeg": dicom_series(SCAN, transfer_syntax=JPEG_BASELINE)[0][1],
        "slice jpeg lossless": dicom_series(SCAN, transfer_syntax=JPEG_LOSSLESS)[0][1],
        "slice jpeg 2000": dicom_series(SCAN, transfer_syntax=JPEG_2000)[0][1],
        "zip": zipped(dicom_series(SCAN), stored=True),
        "zip deflated": dicom_zip(SCAN),
    }
