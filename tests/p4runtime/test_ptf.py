"""PTF as an unmodified client: set PTF_BASE to a folder with p4c's base_test.py to run it.

PTF and its base class are not packages we can depend on; where they are absent this is skipped.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from google.protobuf import text_format

from .programs import Program
from .targets import NativePorts

ROOT = Path(__file__).parents[2]
PTF = ROOT / ".venv-shell" / "bin" / "ptf"
BASE = Path(os.environ.get("PTF_BASE", "/usr/share/p4c/ptf"))


@pytest.mark.slow
@pytest.mark.skipif(not PTF.exists(), reason="ptf is not installed in .venv-shell")
@pytest.mark.skipif(
    not (BASE / "base_test.py").exists(), reason=f"no base_test.py in {BASE}; set PTF_BASE"
)
def test_ptf_session(entities: Program, tmp_path: Path) -> None:
    info, blob = tmp_path / "p4info.txtpb", tmp_path / "program.json"
    info.write_text(text_format.MessageToString(entities.info))
    blob.write_bytes(entities.device_config)
    with NativePorts((1, 2)) as switch:
        parameters = f"grpcaddr='{switch.address}';p4info='{info}';config='{blob}';device_id=1"
        interfaces = [word for p in (1, 2) for word in ("-i", f"{p}@{switch.far_end(p)}")]
        done = subprocess.run(
            [PTF, "--test-dir", Path(__file__).parent / "ptf", "--pypath", BASE, *interfaces,
             "--log-file", tmp_path / "ptf.log", f"--test-params={parameters}"],
            capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
