"""Until everybody imports it from where it is."""

from prove.drawn.pictures import *  # noqa: F403
