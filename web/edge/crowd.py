"""All connections: how many there may be, who has to go when there are too many, and what nobody reads."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from web.settings import Bounds

if TYPE_CHECKING:
    from web.edge.channel import Channel

RESERVED = 32  # places beyond the bound, for probes


def neighbourhood(address: str) -> str:
    """Whose an address is: one of IPv4, the first half of one of IPv6, of which anybody has as many as he likes."""
    try:
        found = ipaddress.ip_address(address.split("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))
    return address


class Crowd:
    """``cut``: ends the connection of a reader who holds others up. :meth:`make_room` is called from any thread, all
    else from the loop's."""

    def __init__(self, bounds: Bounds, cut: Callable[[Channel, str], None], evicted: Callable[[], None]) -> None:
        self._bounds = bounds
        self._cut = cut
        self._evicted = evicted
        self._all: dict[Channel, str] = {}

    def __iter__(self) -> Iterator[Channel]:
        return iter(list(self._all))

    @property
    def unread_bytes(self) -> int:
        """Answers that were given and not read."""
        return sum(channel.total_outbufs_len for channel in list(self._all))

    def enter(self, channel: Channel) -> None:
        """Takes ``channel`` in. Where there is no place the connection goes that has been idle longest; where none is,
        ``channel`` is narrow."""
        home = neighbourhood(channel.address)
        full = [
            one
            for one, limit in ((home, self._bounds.connections_per_address), (None, self._bounds.connections))
            if self._count(one) >= limit and not self._evict(one)
        ]
        self._all[channel] = home
        if full:
            channel.narrow = True
            narrow = [one for one in self._all if one.narrow and not one.will_close]
            if len(narrow) > RESERVED:
                narrow[0].will_close = True
                self._evicted()

    def leave(self, channel: Channel) -> None:
        self._all.pop(channel, None)

    def make_room(self, size: int, writer: Channel) -> None:
        """Before ``size`` bytes of an answer are kept for ``writer``: ends readers, those who have had theirs longest
        first, until they fit."""
        over = self.unread_bytes + size - self._bounds.unread_bytes
        if over <= 0:
            return
        waiting = [one for one in list(self._all) if one.total_outbufs_len and one is not writer and not one.will_close]
        for one in sorted(waiting, key=lambda one: one.unread_since or 0.0):
            if over <= 0:
                return
            over -= one.total_outbufs_len
            self._cut(one, "full")

    def _count(self, home: str | None) -> int:
        return sum(not one.will_close and not one.narrow and home in (None, at) for one, at in self._all.items())

    def _evict(self, home: str | None) -> bool:
        idle = [
            one
            for one, at in self._all.items()
            if one.idle and not one.will_close and not one.narrow and home in (None, at)
        ]
        if not idle:
            return False
        min(idle, key=lambda one: one.idle_since).will_close = True
        self._evicted()
        return True
