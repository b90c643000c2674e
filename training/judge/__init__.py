"""Predictions, metrics, report: how good a network is, and where it is not."""
