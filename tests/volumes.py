"""Until everybody imports it from where it is."""

from prove.drawn.volumes import *  # noqa: F403
