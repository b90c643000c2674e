"""DICOM in: files -> instances -> frames -> series -> volumes, each a stage that passes a few frozen dataclasses on.
What a file says of a patient stays in its dataset: no message, warning or log is made of it."""
