"""Compiles a program with the harness and runs frames through it."""

from __future__ import annotations

import ctypes
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from p4native.bmv2 import model as m
from p4native.codegen import generate

HERE = Path(__file__).parent
RUNTIME = HERE.parent.parent / "p4native" / "runtime"
WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Werror"]
ROOM = 1 << 16


INCLUDE = ["-I", str(RUNTIME / "include"), "-I", str(HERE)]
_FOLDER = tempfile.TemporaryDirectory(prefix="p4n-harness-")


def compile_c(compiler: str, *args: str) -> None:
    """Runs the compiler with the project's warnings as errors."""
    done = subprocess.run([compiler, *WARNINGS, *INCLUDE, *args], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@lru_cache
def fixed_objects(compiler: str, *flags: str) -> list[str]:
    """Objects that do not depend on the program: the runtime and the harness."""
    objects = []
    number = fixed_objects.cache_info().currsize
    for source in [*sorted((RUNTIME / "pipeline").glob("*.c")), HERE / "harness.c"]:
        target = str(Path(_FOLDER.name) / f"{number}-{source.stem}.o")
        compile_c(compiler, *flags, "-c", str(source), "-o", target)
        objects.append(target)
    return objects


def write_sources(program: m.Program, directory: Path) -> list[str]:
    """Writes the generated C into `directory`; returns the paths."""
    sources = []
    for name, text in generate(program).items():
        path = directory / name
        path.write_text(text)
        sources.append(str(path))
    return sources


class Harness:
    """One program on the harness."""

    def __init__(
        self, program: m.Program, directory: Path, compiler: str = "gcc", optimise: str = "-O0"
    ) -> None:
        library = directory / "program.so"
        flags = (optimise, "-fPIC")
        sources = write_sources(program, directory)
        compile_c(compiler, *flags, "-shared", *sources, *fixed_objects(compiler, *flags),
                  "-o", str(library))  # fmt: skip
        self.program = program
        self.lib = ctypes.CDLL(str(library))
        self.lib.harness_new.restype = ctypes.c_void_p
        self.lib.harness_collect.restype = ctypes.c_int64
        self.lib.harness_live.restype = ctypes.c_uint64
        self.lib.harness_drops.restype = ctypes.c_uint64
        self.lib.harness_log.restype = ctypes.c_char_p
        self.handle = ctypes.c_void_p(self.lib.harness_new())

    def add(
        self,
        table: int,
        key: bytes,
        action: int,
        data: bytes = b"",
        *,
        mask: bytes | None = None,
        order: int = 0,
    ) -> None:
        self.lib.harness_add(self.handle, table, key, mask, order, action, data, len(data))

    def group(self, number: int, ports: list[int], *, clone: bool = False) -> None:
        array = (ctypes.c_uint32 * len(ports))(*ports)
        self.lib.harness_group(self.handle, clone, number, array, len(ports))

    def send(self, frame: bytes, port: int = 1) -> list[tuple[int, bytes]]:
        """Injects a frame; everything that left, as (port, bytes)."""
        self.lib.harness_inject(self.handle, port, frame, len(frame))
        out = []
        number, data = ctypes.c_uint32(), ctypes.create_string_buffer(ROOM)
        while True:
            n = self.lib.harness_collect(self.handle, ctypes.byref(number), data, ROOM)
            if n < 0:
                return out
            out.append((number.value, data.raw[:n]))

    def live(self) -> int:
        return int(self.lib.harness_live(self.handle))

    def drops(self, reason: int) -> int:
        return int(self.lib.harness_drops(self.handle, reason))

    def log(self) -> str:
        return self.lib.harness_log(self.handle).decode()

    def digest(self) -> bytes:
        data = ctypes.create_string_buffer(1024)
        length = self.lib.harness_digest(self.handle, data)
        return data.raw[:length]
