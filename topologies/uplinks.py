"""Watches the uplinks' links, as a NIC's driver would, and tells the controller which are up."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping

from topologies.namespace import inside

LOG = logging.getLogger(__name__)
UP_DELAY_S = 1.2  # a bridge may take a second to forward by a link that has come up
_RTMGRP_LINK = 1
_SIOCGIFFLAGS = 0x8913
_UP_AND_RUNNING = 0x41
_REQUEST = struct.Struct("16sH14x")

Report = Callable[[str, frozenset[int]], Awaitable[None]]


class UplinkWatch:
    """Reports a NIC's uplink ports with link, whenever they change. Runs in the controller's loop.

    A link that goes is reported at once, whatever another NIC's report waits for; one that comes
    when it has been there for ``UP_DELAY_S``, since its other end may not forward yet. ``uplinks``:
    by NIC, the interface of each uplink port; ``space``: a process in the network namespace where
    they are.
    """

    def __init__(
        self, uplinks: Mapping[str, Mapping[int, str]], report: Report, space: int
    ) -> None:
        self._uplinks = uplinks
        self._report = report
        self._space = space
        self._told: dict[str, frozenset[int]] = {}
        self._usable_at: dict[str, float] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to watch; the present state is reported first."""
        for nic, ports in self._uplinks.items():
            kernel, asker = inside(self._space, _sockets)
            present = (name for name in ports.values() if has_link(asker, name))
            self._usable_at.update(dict.fromkeys(present, 0.0))
            watch = self._watch(nic, kernel, asker)
            self._tasks.append(asyncio.create_task(watch, name=f"uplinks of {nic}"))

    async def stop(self) -> None:
        """Stop watching."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, nic: str, kernel: socket.socket, asker: socket.socket) -> None:
        """Look at the links when the kernel says that one has changed, and when one is due."""
        loop = asyncio.get_running_loop()
        with kernel, asker:
            while True:
                now = loop.time()
                await self._tell(nic, asker, now)
                waiting = (self._usable_at.get(name, now) for name in self._uplinks[nic].values())
                due = min((at for at in waiting if at > now), default=None)
                patience = None if due is None else max(0.0, due - loop.time())
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(loop.sock_recv(kernel, 65536), patience)

    async def _tell(self, nic: str, asker: socket.socket, now: float) -> None:
        """Report the NIC if its uplinks have changed."""
        ports = self._uplinks[nic].items()
        up = frozenset(port for port, name in ports if self._usable(asker, name, now))
        if self._told.get(nic) != up:
            self._told[nic] = up
            try:
                await self._report(nic, up)
            except Exception:
                LOG.exception("uplinks of %s", nic)

    def _usable(self, asker: socket.socket, interface: str, now: float) -> bool:
        """Whether an interface has had link for long enough."""
        if not has_link(asker, interface):
            self._usable_at.pop(interface, None)
            return False
        return self._usable_at.setdefault(interface, now + UP_DELAY_S) <= now


def _sockets() -> tuple[socket.socket, socket.socket]:
    """One that hears of changes, and one to ask for an interface's state."""
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    kernel.setblocking(False)
    kernel.bind((0, _RTMGRP_LINK))
    return kernel, socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def has_link(asker: socket.socket, interface: str) -> bool:
    """Whether an interface is up and the other end of its cable too."""
    try:
        answer = fcntl.ioctl(asker, _SIOCGIFFLAGS, _REQUEST.pack(interface.encode(), 0))
    except OSError:
        return False  # it is gone
    return int(_REQUEST.unpack(answer)[1]) & _UP_AND_RUNNING == _UP_AND_RUNNING
