"""Compiles the engine and generated pipelines to shared objects, cached by content.

The engine (runtime/engine) is one object per machine type, loaded once per process; a pipeline is
generated C plus runtime/pipeline, one object per program. Names in the cache are hashes of
everything that decides the result, so a stale object is never found.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
FLAGS = ("-std=gnu11", "-O3", "-march=native", "-fPIC", "-D_GNU_SOURCE", "-pthread",
         "-fno-semantic-interposition", "-Wall", "-Wextra", "-Werror")  # fmt: skip
SANITIZE = {
    "address": (
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=undefined",
        "-fno-omit-frame-pointer",
        "-g",
    ),
    "thread": ("-fsanitize=thread", "-g"),
}
"""Builds for the tests, chosen by P4NATIVE_SANITIZE; the process must have the sanitizer preloaded.
"""


class BuildError(Exception):
    """The C compiler is missing or refused; the text has its messages."""


def cache_dir() -> Path:
    """Return the cache folder, made if need be: $XDG_CACHE_HOME or ~/.cache, then p4native."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(root) / "p4native"
    path.mkdir(parents=True, exist_ok=True)
    return path


@lru_cache(maxsize=1)
def compiler() -> tuple[str, ...]:
    """Return the C compiler's command: $CC, cc, gcc or clang."""
    for name in (os.environ.get("CC"), "cc", "gcc", "clang"):
        if name and shutil.which(name.split()[0]):
            return tuple(name.split())
    raise BuildError("no C compiler found (cc, gcc, clang): install gcc or set CC")


def flags() -> tuple[str, ...]:
    """Return the compiler flags, with a sanitizer's when the tests ask for one."""
    return FLAGS + SANITIZE.get(os.environ.get("P4NATIVE_SANITIZE", ""), ())


@lru_cache(maxsize=4)
def _fingerprint(options: tuple[str, ...]) -> bytes:
    """What besides the sources decides the machine code."""
    version = subprocess.run(
        [*compiler(), "--version"], capture_output=True, text=True, check=False
    ).stdout
    processor = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "model name", "Features")):
            processor += line
        if not line:
            break
    return "\n".join([version, processor, *compiler(), *options]).encode()


@lru_cache(maxsize=1)
def _headers() -> bytes:
    return b"".join(p.read_bytes() for p in sorted((RUNTIME / "include").rglob("*.h")))


def _digest(*parts: bytes) -> str:
    h = hashlib.sha256()
    for part in parts:
        h.update(len(part).to_bytes(8, "little"))
        h.update(part)
    return h.hexdigest()


@contextmanager
def _locked(target: Path) -> Iterator[None]:
    """Hold the target's lock, so that two processes do not compile the same thing."""
    with open(target.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(command: list[str], what: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise BuildError(f"{what}: the C compiler failed\n" + "\n".join(lines[:40]))


def _compile(source: Path, key: str) -> Path:
    """Return the object file of one source, compiled unless it is cached."""
    target = cache_dir() / f"{key}.o"
    if target.exists():
        return target
    with _locked(target):
        if not target.exists():
            part = target.with_suffix(f".{os.getpid()}.part")
            _run(
                [*compiler(), *flags(), "-fvisibility=hidden", "-I", str(RUNTIME / "include"),
                 "-c", str(source), "-o", str(part)],
                source.name,
            )  # fmt: skip
            os.replace(part, target)
    return target


def _link(objects: list[Path], target: Path, what: str) -> None:
    part = target.with_suffix(f".{os.getpid()}.part")
    _run(
        [*compiler(), *flags(), "-shared", "-Wl,-Bsymbolic", *map(str, objects), "-o", str(part)],
        what,
    )
    os.replace(part, target)


def _folder_objects(folder: Path) -> list[Path]:
    """Objects of all sources in a runtime folder; its own headers count as part of each."""
    private = b"".join(p.read_bytes() for p in sorted(folder.glob("*.h")))
    return [
        _compile(
            source,
            _digest(_fingerprint(flags()), _headers(), private, source.read_bytes()),
        )
        for source in sorted(folder.glob("*.c"))
    ]


@lru_cache(maxsize=4)
def runtime_library(name: str) -> Path:
    """Return the shared object of the sources in runtime/<name>, compiled if it is not cached."""
    folder = RUNTIME / name
    sources = b"".join(p.read_bytes() for p in sorted(folder.glob("*.[ch]")))
    target = cache_dir() / f"{name}-{_digest(_fingerprint(flags()), _headers(), sources)}.so"
    if not target.exists():
        with _locked(target):
            if not target.exists():
                _link(_folder_objects(folder), target, name)
    return target


def engine_library() -> Path:
    """Return the engine's shared object, compiled if it is not cached."""
    return runtime_library("engine")


def pipeline_library(sources: Mapping[str, str]) -> Path:
    """Return the shared object of a generated program, compiled if it is not cached."""
    folder = RUNTIME / "pipeline"
    support = b"".join(p.read_bytes() for p in sorted(folder.glob("*.[ch]")))
    text = "\0".join(f"{name}\0{sources[name]}" for name in sorted(sources)).encode()
    key = _digest(_fingerprint(flags()), _headers(), support, text)
    target = cache_dir() / f"{key}.so"
    if target.exists():
        return target
    with _locked(target):
        if not target.exists():
            _build_pipeline(sources, key, target)
    return target


def _build_pipeline(sources: Mapping[str, str], key: str, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="p4native-") as work:
        objects = _folder_objects(RUNTIME / "pipeline")
        for name in sorted(sources):
            path = Path(work) / name
            path.write_text(sources[name])
            if name.endswith(".c"):
                objects.append(_compile(path, f"{key}-{path.stem}"))
        _link(objects, target, "pipeline")
        for name in sources:
            (cache_dir() / f"{key}-{Path(name).stem}.o").unlink(missing_ok=True)
