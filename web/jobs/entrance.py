"""Where the front door meets jobs: opened with the application where it has a folder for them, else absent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from web.access.who import StartError

if TYPE_CHECKING:
    from web.door import Door
    from web.jobs.service import Jobs

JOBS = "brainseg.jobs"  # of the application's extensions


def open_jobs(here: Door) -> Jobs | None:
    """None where the server has no jobs. Takes the folder; nothing is worked on before :func:`start_jobs`. Raises
    ``StartError`` without the extra or for a folder that cannot be used."""
    bounds = here.settings.jobs
    if bounds is None:
        return None
    try:
        from web.jobs.service import Jobs
    except ImportError as error:
        raise StartError(f"--jobs needs {error.name}: pip install 'brainseg[jobs]'") from error
    try:
        return Jobs(here, bounds)
    except (OSError, ValueError) as error:
        raise StartError(f"the folder given with --jobs cannot be used: {error}") from error


def jobs_of(app: Flask) -> Jobs | None:
    """Of this application."""
    found: Jobs | None = app.extensions[JOBS]
    return found


def seconds_of(text: str) -> float:
    """``90s``, ``30m``, ``1h``, ``2d`` or 0 -> seconds. Raises ``ValueError`` for anything else."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    if text == "0":
        return 0.0
    if unit not in units or not (number.isascii() and number.isdigit()) or not 0 < int(number) < 10**6:
        raise ValueError(f"{text!r}: expected a time such as 30m, 1h or 2d, or 0")
    return float(int(number) * units[unit])
