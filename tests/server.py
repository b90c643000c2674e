"""Until everybody imports it from where it is."""

from prove.server import *  # noqa: F403
