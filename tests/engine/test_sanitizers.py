"""Packet threads against a writer, under the thread, address and undefined-behaviour sanitizers."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from p4native.switch import build

HERE = Path(__file__).parent
KINDS = {"exact": "0", "lpm": "1", "ternary": "2"}
ROUNDS = "1200"
BATCHES = "400"


def checked_program(name: str, sanitizer: str, folder: Path) -> Path:
    """A C test with the engine in it, for a sanitizer; its objects are cached like the engine's."""
    options = (
        *("-std=gnu11", "-O1", "-march=native", "-D_GNU_SOURCE", "-pthread", "-Wall", "-Wextra"),
        *build.SANITIZE[sanitizer],
        *("-I", str(build.RUNTIME / "include")),
    )
    engine = build.RUNTIME / "engine"
    included = [HERE / "shim.c", HERE / "stress_updates.c", *sorted(engine.glob("*.h"))]
    headers = b"".join(path.read_bytes() for path in included)
    common = build._digest(build._fingerprint(options), build._headers(), headers)

    def compiled(source: Path) -> Path:
        key = build._digest(common.encode(), source.read_bytes())
        target = build.cache_dir() / f"checked-{source.stem}-{key}.o"
        if not target.exists():
            made = target.with_suffix(f".{os.getpid()}")
            subprocess.run([*build.compiler(), *options, "-c", source, "-o", made], check=True)
            made.rename(target)
        return target

    with ThreadPoolExecutor(2) as pool:
        objects = list(pool.map(compiled, [HERE / f"{name}.c", *sorted(engine.glob("*.c"))]))
    target = folder / name
    subprocess.run([*build.compiler(), *options, *objects, "-o", target], check=True)
    return target


def run_checked(program: Path, *arguments: str) -> None:
    """Run it to its end; what it or the sanitizer has found fails the test."""
    # The thread sanitizer of gcc 12 does not know today's address space layout.
    done = subprocess.run(
        ["setarch", "-R", program, *arguments],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[:4000]
    assert "WARNING: ThreadSanitizer" not in done.stderr, done.stderr[:4000]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sanitizer", build.SANITIZE)
def test_readers_and_writer(sanitizer: str, kind: str, tmp_path: Path) -> None:
    run_checked(checked_program("stress", sanitizer, tmp_path), KINDS[kind], ROUNDS)


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize("sanitizer", build.SANITIZE)
def test_packets_and_batches(sanitizer: str, threads: str, tmp_path: Path) -> None:
    """Every kind of operation in every mode, refused batches too, against packets and reads."""
    run_checked(checked_program("stress_batches", sanitizer, tmp_path), BATCHES, threads)


def test_offloads_of_any_frame(tmp_path: Path) -> None:
    """Segments are what a receiver accepts; a mutilated frame reads and writes nothing else."""
    run_checked(checked_program("offload_check", "address", tmp_path), "2000")
