"""Tests mirror the rooms; those marked server or browser start a real TorchServe or a real Chromium."""
