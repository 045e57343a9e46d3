"""PTF as an unmodified client: its runner, its data plane on veth pairs, the plain gRPC stubs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from google.protobuf import text_format

from .conftest import BMV2
from .programs import Program
from .targets import Bmv2Switch, NativePorts

PTF = Path(__file__).parents[2] / ".venv-shell" / "bin" / "ptf"
PORTS = range(1, 5)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["native"] if BMV2 is None else ["native", "bmv2"])
def test_ptf_session(target: str, entities: Program, tmp_path: Path) -> None:
    assert PTF.exists(), "run ./scripts/setup.sh test: it makes .venv-shell"
    info, blob = tmp_path / "p4info.txtpb", tmp_path / "program.json"
    info.write_text(text_format.MessageToString(entities.info))
    blob.write_bytes(entities.device_config)
    with NativePorts(PORTS) if target == "native" else Bmv2Switch() as switch:
        parameters = f"grpcaddr='{switch.address}';p4info='{info}';config='{blob}'"
        interfaces = [word for p in PORTS for word in ("-i", f"{p}@{switch.far_end(p)}")]
        done = subprocess.run(
            [PTF, "--test-dir", Path(__file__).parent / "ptf", *interfaces,
             "--log-file", tmp_path / "ptf.log", f"--test-params={parameters}"],
            capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran 5 tests" in done.stderr
