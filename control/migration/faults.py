"""Fault points: places where a test makes a migration fail, always the same way.

``P4NIC_FAULT=POINT:WHAT`` in the environment arms one point. A point is a phase (``switch``: it was
journalled and has not acted) or a phase that has acted (``switch.done``). WHAT is ``fail`` (raise),
``kill`` (the controller's own process, by SIGKILL), ``kill=PID`` (another process, and go on) or
``run=COMMAND`` (a shell command, and go on).
"""

from __future__ import annotations

import asyncio
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
    kind, _, argument = what.partition("=")
    if kind == "kill":
        os.kill(int(argument or os.getpid()), signal.SIGKILL)
    elif kind == "run":
        process = await asyncio.create_subprocess_shell(argument)
        await process.wait()
    else:
        raise InjectedFault(f"injected at {point}")
