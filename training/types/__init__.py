"""The classifier of tumour types: its slices, split by patient, its training and its figures."""
