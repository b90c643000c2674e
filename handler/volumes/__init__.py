"""Scans with geometry: NIfTI and DICOM in, where each voxel lies in the patient kept all the way, masks on the very
grid that came out again. Imports nothing of ours outside ``handler``.
"""
