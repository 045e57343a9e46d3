"""The switch's log: one line per event, `time level logger message`, to console and file."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

TRACE = 5
_LEVELS = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}
_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)s %(name)s %(message)s"


def configure(level: str, console: bool, file: Path | None) -> None:
    """Set up logging for the process; without console and file, warnings go to stderr."""
    logging.addLevelName(TRACE, "TRACE")
    handlers: list[logging.Handler] = []
    if console:
        handlers.append(logging.StreamHandler(sys.stdout))
    if file is not None:
        handlers.append(logging.FileHandler(file))
    threshold = _LEVELS[level]
    if not handlers:
        handlers.append(logging.StreamHandler(sys.stderr))
        threshold = max(threshold, logging.WARNING)
    logging.basicConfig(
        level=threshold, format=_FORMAT, datefmt="%Y-%m-%dT%H:%M:%S", handlers=handlers, force=True
    )
