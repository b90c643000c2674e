"""What ends a whole run, not a scan."""

from __future__ import annotations


class BulkError(Exception):
    """The run cannot begin or go on; the message says what came, what was expected and what to do."""


class NoRoomError(BulkError):
    """Results cannot be written: it befalls every other scan as well."""
