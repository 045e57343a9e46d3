"""`p4native compile`: files, exit codes, passes, the cache, identical output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from p4native.compiler import CompileError, compile_program
from tests.midend.programs import REPOSITORY, program


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small program in a file."""
    path = tmp_path / "small.p4"
    path.write_text(program(apply="meta.x = 1;"))
    return path


def run(*arguments: str | Path, seed: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command line."""
    environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "p4native", "compile", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_writes_json_and_p4info(source: Path, tmp_path: Path) -> None:
    done = run(source, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out/small.json").read_text())["__meta__"]["version"] == [2, 23]
    assert "v1model" in (tmp_path / "out/small.p4info.txtpb").read_text()


def test_single_outputs(source: Path, tmp_path: Path) -> None:
    done = run(source, "--json", tmp_path / "a.json", "--p4info", tmp_path / "b.txtpb")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.json").exists() and (tmp_path / "b.txtpb").exists()
    assert not (tmp_path / "small.json").exists()


def test_a_file_where_a_folder_belongs_is_refused(source: Path, tmp_path: Path) -> None:
    done = run(source, "-o", tmp_path / "a.json")
    assert done.returncode == 2 and "-o names a folder; for a file: --json" in done.stderr
    assert not (tmp_path / "a.json").exists()


def test_an_error_is_shown_with_its_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.p4"
    bad.write_text(program(apply="meta.nothing = 1;"))
    done = run(bad, "-o", tmp_path)
    assert done.returncode == 1
    assert f"{bad}:" in done.stderr and "error[" in done.stderr and "^" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["missing.p4", "."])
def test_unreadable_programs_are_no_traceback(name: str, tmp_path: Path) -> None:
    done = run(tmp_path / name)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and done.stderr


def test_passes_and_dumps(source: Path) -> None:
    listed = run("--passes")
    assert listed.returncode == 0
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert names[0] == "elaborate" and "synthesize_actions" in names
    dumped = run(source, "--dump-after", "synthesize_actions")
    assert dumped.returncode == 0 and "@hidden table" in dumped.stdout
    assert run(source, "--dump-after", "nonsense").returncode == 2


def test_the_cache_gives_the_same_and_notices_changes(source: Path, own_cache: Path) -> None:
    first = compile_program(source)
    assert list(own_cache.rglob("*.json"))
    assert compile_program(source) == first
    source.write_text(program(apply="meta.y = 2;"))
    assert compile_program(source).json_text != first.json_text


def test_the_cache_notices_changed_includes(tmp_path: Path) -> None:
    header = tmp_path / "value.h"
    header.write_text("#define VALUE 1\n")
    path = tmp_path / "p.p4"
    path.write_text('#include "value.h"\n' + program(apply="meta.x = VALUE;"))
    first = compile_program(path)
    header.write_text("#define VALUE 2\n")
    assert compile_program(path).json_text != first.json_text


def test_a_damaged_cache_is_ignored(source: Path, own_cache: Path) -> None:
    first = compile_program(source)
    for entry in own_cache.rglob("*.json"):
        entry.write_text("{")
    assert compile_program(source) == first


def test_macros_from_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "d.p4"
    path.write_text(program(apply="meta.x = VALUE;"))
    with pytest.raises(CompileError) as failed:
        compile_program(path)
    assert "VALUE" in failed.value.diagnostics
    assert '"0x07"' in compile_program(path, defines={"VALUE": "7"}).json_text


def test_identical_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    path = REPOSITORY / "p4src/hybrid_nic.p4"
    results = []
    for seed in (1, 2):
        out = tmp_path / str(seed)
        done = run(path, "-I", path.parent, "-o", out, "--no-cache", "-q", seed=seed)
        assert done.returncode == 0, done.stderr
        results.append([p.read_bytes() for p in sorted(out.iterdir())])
    assert results[0] == results[1]
