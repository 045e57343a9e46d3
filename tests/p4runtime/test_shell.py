"""p4runtime-shell as an unmodified client, in the environment that its old protobuf needs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from google.protobuf import text_format

from .programs import Program
from .targets import NativeSwitch

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-shell" / "bin" / "python"


@pytest.mark.slow
def test_shell_session(entities: Program, tmp_path: Path) -> None:
    assert PYTHON.exists(), "run ./scripts/setup.sh test: it makes .venv-shell"
    info, blob = tmp_path / "p4info.txtpb", tmp_path / "program.json"
    info.write_text(text_format.MessageToString(entities.info))
    blob.write_bytes(entities.device_config)
    switch = NativeSwitch()
    try:
        done = subprocess.run(
            [PYTHON, Path(__file__).parent / "shell_session.py", switch.address, info, blob],
            capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
        )  # fmt: skip
    finally:
        switch.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok") == 4
