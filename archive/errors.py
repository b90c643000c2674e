"""What can be wrong with an archive."""

from __future__ import annotations


class UntrustedError(ValueError):
    """The archive is not a release to be trusted; the message says why. Nothing of it was copied or run."""
