"""Sockets inside other network namespaces: a socket belongs to that of the thread that makes it."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_NEWNET = 0x40000000
_Made = TypeVar("_Made")
_libc = ctypes.CDLL(None, use_errno=True)


def inside(pid: int, make: Callable[[], _Made]) -> _Made:
    """Run ``make`` in a thread of its own that has entered the network namespace of ``pid``."""

    def enter() -> _Made:
        handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        try:
            if _libc.setns(handle, _NEWNET):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(handle)
        return make()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(enter).result()
