"""Fault points: places where a test makes a migration fail, always the same way.

``P4NIC_FAULT=POINT:WHAT`` in the environment arms one point. A point is a phase (``switch``: it was
journalled and has not acted) or a phase that has acted (``switch.done``). WHAT is ``fail`` (raise)
or ``kill`` (the controller's own process, by SIGKILL).
"""

from __future__ import annotations

import os
import signal

from control.errors import ControlError

VARIABLE = "P4NIC_FAULT"


class InjectedFault(ControlError):
    """The failure that a test asked for."""


async def reach(point: str) -> None:
    """Called by migrations at each point; does nothing unless the point is armed."""
    armed, _, what = os.environ.get(VARIABLE, "").partition(":")
    if armed != point:
        return
    del os.environ[VARIABLE]
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise InjectedFault(f"injected at {point}")
