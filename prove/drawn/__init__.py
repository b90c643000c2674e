"""Scans drawn in code, whole ones of every format, and files made byte by byte. Imports nothing of ours."""
