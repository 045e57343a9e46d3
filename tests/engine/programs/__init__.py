"""The engine tests' programs, compiled once per run."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from p4native.compiler import compile_program

HERE = Path(__file__).parent
BENCH = HERE.parent.parent.parent / "bench" / "switch"


@lru_cache
def program(name: str) -> bytes:
    """BMv2 JSON of a program of these tests, or of the switch bench."""
    folder = HERE if (HERE / f"{name}.p4").exists() else BENCH
    return json.dumps(compile_program(folder / f"{name}.p4").json).encode()
