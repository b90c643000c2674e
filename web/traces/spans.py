"""What the way of a request calls, whether it is traced or not. Nothing of OpenTelemetry is imported here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from types import MappingProxyType
from typing import Protocol

from web.way.wire import Reply

NOTHING: Mapping[str, str] = MappingProxyType({})
Header = Callable[[str], str | None]
Replied = Callable[[Reply], None]


class Traces(Protocol):
    """A request is begun and ended by one thread, which asks TorchServe in between. Never raises."""

    def begin(self, route: str, header: Header) -> None:
        """A scan comes in at ``route``. ``header``: the request's, by name; ``traceparent`` is taken up."""

    def end(self, status: int, code: str, version: str) -> None:
        """It is answered; nothing where nothing was begun. ``status``: of HTTP, 0 for gRPC."""

    def asking(self) -> AbstractContextManager[tuple[Mapping[str, str], Replied]]:
        """Around one request to TorchServe: the headers that pass the trace on, and what is to be told of the reply."""

    def close(self) -> None:
        """Sends what is left, for a few seconds at most."""


class NoTraces:
    """Off."""

    def begin(self, route: str, header: Header) -> None:
        return

    def end(self, status: int, code: str, version: str) -> None:
        return

    @contextmanager
    def asking(self) -> Iterator[tuple[Mapping[str, str], Replied]]:
        yield NOTHING, lambda _reply: None

    def close(self) -> None:
        return


def open_traces(url: str | None, build: str) -> Traces:
    """``url``: of the collector, None: off. ``build``: the version that is named. Raises ``ValueError`` for another
    kind of URL, and where the extra is missing."""
    if url is None:
        return NoTraces()
    try:
        from web.traces.otlp import Exported
    except ImportError as error:
        raise ValueError(f"--otlp needs {error.name}: pip install 'brainseg[traces]'") from error
    return Exported(url, build)
