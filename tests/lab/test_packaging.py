"""What is installed: pinned requirements, and p4native as a tool of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from .helpers import ROOT


def test_every_requirement_is_pinned_for_every_python() -> None:
    names: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([\w.-]+)==[\w.]+(; python_version (<|>=) \"3\.11\")?", line)
            assert match, line
            names.setdefault(match[1], []).append(match[3] or "all")
    for name, pythons in names.items():
        assert sorted(pythons) in (["all"], ["<"], ["<", ">="]), name


def test_what_is_installed_is_what_is_pinned() -> None:
    check = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps"]
    command = [*check, "--no-index", "-r", str(ROOT / "requirements.txt")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, f"run make setup: {result.stderr}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of p4native, built from a copy of its folder alone."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
    shutil.copytree(ROOT / "p4native", folder / "p4native", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", str(folder), str(folder / "p4native")], check=True, timeout=110)
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_every_source_file(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    sources = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "p4native").rglob("*")
        if path.suffix in {".py", ".c", ".h", ".p4"} and "build" not in path.parts
    }
    assert sources - packed == set()


def test_p4native_works_without_the_lab(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    program = ROOT / "tests" / "corpus" / "functions.p4"
    code = (
        "import sys; sys.path[:0] = [sys.argv.pop(1)]\n"
        "import p4native.cli\n"
        "assert p4native.cli.__file__.startswith(sys.path[0]), p4native.cli.__file__\n"
        "p4native.cli.main()\n"
    )
    arguments = ["compile", str(program), "-o", str(tmp_path / "out")]
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out" / "functions.json").exists()
    used = subprocess.run(
        ["grep", "-rlE", r"^\s*(from|import) (control|topologies|bench)\b", str(ROOT / "p4native")],
        capture_output=True,
        text=True,
    )
    assert used.stdout == "", "p4native imports the lab"


def test_make_passes_its_variables_on() -> None:
    variables = ["TOPO=one_server", "TARGET=native", "P4C=p4c", "PLANE=ovs", "ARGS=--resume"]
    command = ["make", "-n", "--no-print-directory", "-C", str(ROOT), "demo", *variables]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = "--topo one_server --target native --p4c p4c --plane ovs --resume --tour"
    assert words in output


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*?## ", text, re.MULTILINE))
    command = ["make", "--no-print-directory", "-C", str(ROOT)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert {"run", "demo", "test", "check", "shell", "clean"} <= targets
    assert targets == set(re.findall(r"^  make ([a-z-]+)", output, re.MULTILINE))
