"""Any bytes through generated pipelines under ASan and UBSan, a few seconds each: with libFuzzer
where clang has it, else with a blind mutator and gcc."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

from p4native.bmv2.reader import read_program
from p4native.compiler import compile_program

from ..harness import HERE, compile_c, fixed_objects, write_sources

ROOT = HERE.parent.parent
FOLDER = Path(__file__).parent
PROGRAMS = [
    "p4src/hybrid_nic.p4",
    "tests/corpus/union_stack.p4",
    "tests/corpus/varbit.p4",
    "tests/corpus/replication.p4",
]
SECONDS = os.environ.get("FUZZ_SECONDS", "1")
# Unoptimised: compiling takes longer than the bounded run that follows it.
SANITIZE = ["-O0", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
COVERAGE = [*SANITIZE, "-fsanitize=fuzzer-no-link"]
UDP = bytes.fromhex(
    "ffffffffffff" "0a0000000001" "0800" "4500002e000100004011" "0000" "0a000001" "0a000002"
    "12b512b5001a0000" "0800000000000100" "aabbccddeeff"
)  # fmt: skip


@lru_cache
def has_libfuzzer() -> bool:
    """Whether clang can link a fuzzer (Debian: libclang-rt-14-dev)."""
    try:
        done = subprocess.run(
            ["clang", "-fsanitize=fuzzer,address", "-x", "c", "-", "-o", "/dev/null"],
            input=b"int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n && 0; }",
            capture_output=True,
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0


def build(tmp_path: Path, sources: list[str]) -> list[str]:
    """Compiles the fuzzer; the command that runs it, without its seeds."""
    fuzzer, target = str(tmp_path / "fuzzer"), str(FOLDER / "target.c")
    if has_libfuzzer():
        compile_c("clang", *SANITIZE, "-fsanitize=fuzzer", target, *sources,
                  *fixed_objects("clang", *COVERAGE), "-o", fuzzer)  # fmt: skip
        return [fuzzer, f"-max_total_time={SECONDS}", "-max_len=2048", "-seed=1", "-timeout=10",
                f"-artifact_prefix={tmp_path}/", "-rss_limit_mb=1024"]  # fmt: skip
    compile_c("gcc", *SANITIZE, target, str(FOLDER / "driver.c"), *sources,
              *fixed_objects("gcc", *SANITIZE), "-o", fuzzer)  # fmt: skip
    return [fuzzer]


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_any_bytes(tmp_path: Path, name: str) -> None:
    program = read_program(compile_program(ROOT / name).json)
    command = build(tmp_path, write_sources(program, tmp_path))
    seeds = tmp_path / "seeds"
    seeds.mkdir()
    for i, pad in enumerate((0, 8, len(program.tables))):
        (seeds / str(i)).write_bytes(bytes(pad) + UDP * 3)
    command.append(str(seeds))
    if not has_libfuzzer():
        command.append(SECONDS)
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-6000:]
