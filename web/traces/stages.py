"""The handler's stages, read off its answer: a worker carries no tracing."""

from __future__ import annotations

import json
import re

from web.way.wire import Reply

# As the handler writes it, with numbers alone; quoted in another value its quotes would be escaped.
_TIMING = re.compile(rb'"timing_ms": ?(\{[^{}]{0,1000}\})')


def stages(reply: Reply) -> list[tuple[str, float]]:
    """Name and milliseconds of each stage, in their order; empty where the answer is no JSON and says nothing of it."""
    if reply.status != 200 or reply.kind != "application/json":
        return []
    found = _TIMING.findall(reply.body)
    try:
        timing = json.loads(found[-1]) if found else {}
    except ValueError:
        return []
    return [(name, float(spent)) for name, spent in timing.items() if isinstance(spent, int | float) and spent >= 0]
