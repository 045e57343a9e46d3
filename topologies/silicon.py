"""Processor time of the switches that stand for NICs, alike on every plane.

A NIC has silicon of its own; here it shares the processors with the guests. At equal priority a
guest that keeps a processor busy would make each frame of its neighbours wait for the scheduler at
every NIC on the way, which no hardware does. So the switch processes come first.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_NICE = -19


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
