"""Ends the lab in order on SIGTERM and SIGHUP, also while the prompt waits for input.

Python runs signal handlers in the main thread between instructions. A signal that arrives just
before the prompt's ``select`` would be seen at the next key only; therefore a second thread sends
it again until it has been.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)
_AGAIN_S = 0.1


def end_in_order() -> None:
    """Turn SIGTERM and SIGHUP into SystemExit in the main thread, once. Call it there."""
    seen = threading.Event()

    def end(number: int, _frame: FrameType | None) -> None:
        if not seen.is_set():  # later ones must not interrupt the clean-up
            seen.set()
            sys.exit(128 + number)

    for number in ENDING:
        signal.signal(number, end)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    main = threading.get_ident()
    threading.Thread(target=_insist, args=(reading, main, seen), daemon=True).start()


def _insist(reading: int, main: int, seen: threading.Event) -> None:
    """Wait for an ending signal, then repeat it to the main thread until its handler has run."""
    while (number := os.read(reading, 1)[0]) not in ENDING:
        continue
    while not seen.wait(_AGAIN_S):
        signal.pthread_kill(main, number)
