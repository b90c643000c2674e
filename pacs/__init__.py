"""A DICOM node: takes studies from scanners and archives, has them segmented by the front door, sends the results on.

Speaks DICOM to the outside and HTTP to the front door, through the Python client; imports nothing else of ours. Needs
the extra ``pacs``.
"""
