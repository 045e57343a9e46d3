"""Processor time of what has silicon of its own elsewhere, alike on every plane.

A NIC has silicon of its own; here it shares the processors with the guests. At equal priority a
guest that keeps a processor busy would make each frame of its neighbours wait for the scheduler at
every NIC on the way, which no hardware does. So the switch processes come first.

The same goes for the controller, the hypervisor and the processor of a NIC that programs its
pipeline. While a guest stands still for them they run before everything else, packets included:
here every step of theirs would wait until a busy packet thread has used up its slice. At other
times they do not, lest a storm of packets for the controller starves the packet threads.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_NICE = -19
_PACKET_THREAD = "packet-"  # as the engine names them


def start_switch(command: Sequence[str], **params: Any) -> subprocess.Popen[bytes]:
    """Start a switch process, in a session of its own, that the scheduler prefers to all guests.

    Without the privilege to be preferred it runs as any other. Raises OSError as Popen does.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C at the prompt is not for the switch
        **params,
    )
    try:
        os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
        # Where the kernel groups sessions, niceness counts within one, and the group has its own.
        Path(f"/proc/{process.pid}/autogroup").write_text(str(_NICE), encoding="ascii")
    except OSError:
        pass
    return process


def control_threads(process: int) -> list[int]:
    """Threads of a native switch process that do not forward packets; none if it has ended."""
    found = []
    try:
        for task in Path(f"/proc/{process}/task").iterdir():
            if not (task / "comm").read_text().startswith(_PACKET_THREAD):
                found.append(int(task.name))
    except OSError:
        pass  # it ends just now, and what is read of it ends with it
    return found


class Urgency:
    """Lets the calling thread and NICs' control threads run before everything else."""

    def __init__(self) -> None:
        self._blocks = 0
        self._threads: set[int] = set()

    @contextmanager
    def urgent(self, threads: Iterable[int]) -> Iterator[None]:
        """Within the block; blocks may overlap, and the end of the last one counts for all.

        What the threads start meanwhile is not preferred. Without the privilege nothing is.
        """
        self._blocks += 1
        self._threads.update((0, *threads))
        _schedule(self._threads, os.SCHED_RR | os.SCHED_RESET_ON_FORK, 1)
        try:
            yield
        finally:
            self._blocks -= 1
            if not self._blocks:
                _schedule(self._threads, os.SCHED_OTHER, 0)
                self._threads.clear()


def _schedule(threads: Iterable[int], policy: int, priority: int) -> None:
    """Set a policy for threads, 0 being the caller's, of which some may have ended."""
    for thread in threads:
        with suppress(OSError):
            os.sched_setscheduler(thread, policy, os.sched_param(priority))
