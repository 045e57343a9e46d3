"""Packet threads against a writer, under the thread, address and undefined-behaviour sanitizers."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from p4native.switch import build

HERE = Path(__file__).parent
KINDS = {"exact": "0", "lpm": "1", "ternary": "2"}
ROUNDS = "1200"


def checked_program(name: str, sanitizer: str) -> Path:
    """A C test with the engine in it, compiled for a sanitizer; cached like the engine."""
    options = (
        *("-std=gnu11", "-O1", "-march=native", "-D_GNU_SOURCE", "-pthread", "-Wall", "-Wextra"),
        *build.SANITIZE[sanitizer],
        *("-I", str(build.RUNTIME / "include")),
    )
    folder = build.RUNTIME / "engine"
    sources = [HERE / f"{name}.c", *sorted(folder.glob("*.c"))]
    texts = b"".join(p.read_bytes() for p in [HERE / "shim.c", *sources, *folder.glob("*.h")])
    key = build._digest(build._fingerprint(options), build._headers(), texts)
    target = build.cache_dir() / f"{name}-{key}"
    if target.exists():
        return target
    work = build.cache_dir() / f"{name}-{key}.d"
    work.mkdir(exist_ok=True)

    def compiled(source: Path) -> str:
        object_file = str(work / f"{source.stem}.o")
        subprocess.run(
            [*build.compiler(), *options, "-c", str(source), "-o", object_file], check=True
        )
        return object_file

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, sources))
    subprocess.run([*build.compiler(), *options, *objects, "-o", str(target)], check=True)
    return target


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sanitizer", build.SANITIZE)
def test_readers_and_writer(sanitizer: str, kind: str) -> None:
    program = checked_program("stress", sanitizer)
    # The thread sanitizer of gcc 12 does not know today's address space layout.
    done = subprocess.run(
        ["setarch", "-R", str(program), KINDS[kind], ROUNDS],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[:4000]
    assert "WARNING: ThreadSanitizer" not in done.stderr, done.stderr[:4000]


def test_offloads_of_any_frame() -> None:
    """Segments are what a receiver accepts; a mutilated frame reads and writes nothing else."""
    program = checked_program("offload_check", "address")
    done = subprocess.run(
        [str(program), "2000"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[:4000]
