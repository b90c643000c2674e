"""Why the model answered as it did: ``POST /api/v1/explain``."""
