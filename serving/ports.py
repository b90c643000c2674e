"""TCP ports on loopback for what is started here."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator

# Below those that Linux gives to the near ends of connections (from 32768): one of them could come before the port that
# was named is used.
LOWEST, HIGHEST, BLOCK = 10_000, 32_700, 50
_lock = threading.Lock()


def _blocks() -> Iterator[int]:
    """First ports of blocks that no other process of ours has, each ours as long as this process lives: its name among
    Linux's abstract sockets goes with it."""
    firsts = list(range(LOWEST, HIGHEST, BLOCK))
    random.SystemRandom().shuffle(firsts)
    for first in firsts:
        held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            held.bind(f"\0brainseg-ports-{first}")
        except OSError:
            held.close()
            continue
        _held.append(held)
        yield first


def _ports() -> Iterator[int]:
    for first in _blocks():
        yield from range(first, first + BLOCK)


_held: list[socket.socket] = []
_left = _ports()


def free_port() -> int:
    """A TCP port on loopback that is free now, another each time, and none that another process was given here. Raises
    ``OSError`` when there is none left."""
    with _lock:
        for port in _left:
            if port_is_free(port):
                return port
    raise OSError(f"no free port from {LOWEST} to {HIGHEST - 1}: end other programs, or name the ports")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` on loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
