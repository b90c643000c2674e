"""Tests: unit (plain Python), server (a real TorchServe), web and browser (the front door), training."""
