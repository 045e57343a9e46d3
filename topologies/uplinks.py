"""Watches the uplinks' links, as a NIC's driver would, and tells the controller which are up."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

LOG = logging.getLogger(__name__)
_RTMGRP_LINK = 1

Report = Callable[[str, frozenset[int]], Awaitable[None]]


class UplinkWatch:
    """Reports a NIC's uplink ports with link, whenever they change. Runs in the controller's loop.

    ``uplinks``: by NIC, the interface of each uplink port.
    """

    def __init__(self, uplinks: Mapping[str, Mapping[int, str]], report: Report) -> None:
        self._uplinks = uplinks
        self._report = report
        self._told: dict[str, frozenset[int]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch; the present state is reported first."""
        self._task = asyncio.create_task(self._watch(), name="uplinks")

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        """Look at the links whenever the kernel says that one has changed."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
            kernel.setblocking(False)
            kernel.bind((0, _RTMGRP_LINK))
            while True:
                await self._tell()
                await loop.sock_recv(kernel, 65536)

    async def _tell(self) -> None:
        """Report every NIC whose uplinks have changed."""
        for nic, ports in self._uplinks.items():
            up = frozenset(port for port, interface in ports.items() if has_carrier(interface))
            if self._told.get(nic) != up:
                self._told[nic] = up
                try:
                    await self._report(nic, up)
                except Exception:
                    LOG.exception("uplinks of %s", nic)


def has_carrier(interface: str) -> bool:
    """Whether an interface is up and the other end of its cable too."""
    try:
        return Path("/sys/class/net", interface, "carrier").read_text(encoding="ascii") == "1\n"
    except OSError:
        return False  # it is down, or gone
