"""Whether the engines under test are builds that are worth measuring."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

_PER_PACKET = b"Processing packet received on port"
"""What BMv2 logs for each packet: only in builds with its logging macros."""


def debug_builds() -> list[str]:
    """Sentences about engines here that are debug builds, and what to do."""
    found = []
    sanitizer = os.environ.get("P4NATIVE_SANITIZE")
    if sanitizer:
        found.append(
            f"the native switch is built with the {sanitizer} sanitizer and is many times slower. "
            "Unset P4NATIVE_SANITIZE."
        )
    bmv2 = shutil.which("simple_switch_grpc")
    if bmv2 and any(_PER_PACKET in path.read_bytes() for path in _with_libraries(Path(bmv2))):
        found.append(
            f"{bmv2} is a debug build, which logs every packet and is several times slower. "
            "Build BMv2 with --disable-logging-macros and -O3."
        )
    return found


def _with_libraries(program: Path) -> list[Path]:
    """A program and the libraries that it loads from outside the system's own directories."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    libraries = re.findall(r"=> (/\S+)", listed)
    ours = [Path(name) for name in libraries if "bm" in name or "simple" in name]
    return [program, *ours]
