"""A mask goes out: lesions in millimetres, NIfTI on the very grid that came, DICOM SEG and SR on the source's own
frames, all of it in one zip.

Pure functions of a :class:`~handler.volumes.volume.Volume` and a mask on its grid. Equal arguments give equal bytes.
pydicom, highdicom and nibabel are slow to import and large: they are imported in the functions that use them, so a
worker that only sees pictures never pays for them.
"""
