"""Fault points: places where a test makes a migration fail, always the same way.

``P4NIC_FAULT=switch:kill`` in the environment, or `install`, arms one point. A point is reached
right after its phase was journalled and before it acts (``switch``), or when its act is done
(``switch.done``).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable

from control.errors import ControlError

Action = Callable[[], Awaitable[None]]
_armed: dict[str, Action] = {}


class InjectedFault(ControlError):
    """The failure that a test asked for."""


def install(point: str, action: Action) -> None:
    """Run ``action`` when ``point`` is next reached, once."""
    _armed[point] = action


def clear() -> None:
    """Disarm all points."""
    _armed.clear()


async def reach(point: str) -> None:
    """Called by migrations at each point; does nothing unless the point is armed."""
    action = _armed.pop(point, None)
    if action is not None:
        await action()
    wish = os.environ.get("P4NIC_FAULT", "")
    armed, _, kind = wish.partition(":")
    if armed != point:
        return
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os.environ.pop("P4NIC_FAULT", None)
    raise InjectedFault(f"injected at {point}: {kind or 'failure'}")
