"""The states of a job as server-sent events, until its end. An event's id is the state, so that who comes again with
``Last-Event-ID`` hears only what is new."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from web.contract.fields import RefusedError
from web.jobs.service import Job, Jobs

KIND = "text/event-stream"
LOOK_SECONDS = 0.5
ALIVE_SECONDS = 15.0  # between two signs of life: proxies close what is silent
LONGEST_SECONDS = 600.0  # then the client comes again by itself
AGAIN_MS = 2000


def written(job: Job) -> str:
    """One event."""
    return f"id: {job.state}\nevent: state\ndata: {json.dumps(job.told)}\n\n"


def follow(jobs: Jobs, job: Job, heard: str, gone: Callable[[], bool]) -> Iterator[bytes]:
    """The events after the one with the id ``heard``. Ends with the job's last state, when the client is gone, when the
    server ends or when it has lasted long; the job may be forgotten meanwhile."""
    began = spoke = time.monotonic()
    yield f"retry: {AGAIN_MS}\n\n".encode()
    while True:
        if job.state != heard:
            heard, spoke = job.state, time.monotonic()
            yield written(job).encode()
        if job.final or gone() or jobs.ending or time.monotonic() - began > LONGEST_SECONDS:
            return
        if time.monotonic() - spoke > ALIVE_SECONDS:
            spoke = time.monotonic()
            yield b": still here\n\n"
        time.sleep(LOOK_SECONDS)
        try:
            job = jobs.find(job.order.owner, job.order.identity)
        except RefusedError:
            return
