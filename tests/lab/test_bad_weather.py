"""Whatever goes wrong: one paragraph, exit status 1, no traceback, and nothing left behind."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .helpers import ROOT, Process, needs_root, wait_for

StartLab = Callable[..., Process]


def refused(process: Process, words: str) -> str:
    """Expect an orderly refusal that mentions ``words``."""
    status, output = process.finish()
    assert status == 1, output
    assert words in output, output
    assert "Traceback" not in output, output
    assert process.leftovers() == []
    return output


def test_not_root() -> None:
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not here, to become another user with")
    command = ["setpriv", "--reuid", "65534", "--clear-groups", sys.executable, "-B", "-m"]
    result = subprocess.run(
        [*command, "topologies", "--tour"], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 1
    assert "run it as root" in result.stderr
    assert "Traceback" not in result.stderr


def test_unknown_topology(start_lab: StartLab) -> None:
    refused(start_lab("--topo", "two_server"), "Did you mean two_servers?")


def test_wrong_topology_file(start_lab: StartLab, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: bad\ndescription: bad\nserverz: []\n", encoding="utf-8")
    refused(start_lab("--topo", str(path)), f"{path}:3: serverz is not a known key")


@pytest.mark.parametrize(("option", "words"), [("--target", "TARGET=x"), ("--p4c", "P4C=x")])
def test_unknown_tool(start_lab: StartLab, option: str, words: str) -> None:
    refused(start_lab(option, "x"), words)


def test_reference_switch_wished_for_but_absent(start_lab: StartLab) -> None:
    process = start_lab("--target", "bmv2", env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
    refused(process, "TARGET=bmv2 needs simple_switch_grpc, which is not on PATH")


def test_no_c_compiler(start_lab: StartLab, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("ip", "tc", "mnexec", "sh", "bash", "env", "ifconfig", "sysctl"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    process = start_lab("--target", "native", env={"PATH": str(tools), "CC": ""})
    refused(process, "apt-get install gcc")


def test_error_in_the_p4_program(start_lab: StartLab, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "p4src", tmp_path / "p4src")
    source = tmp_path / "p4src" / "hybrid_nic.p4"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("control NicIngress(", "control NicIngress(bogus_t x, ", 1))
    line = next(n for n, t in enumerate(text.splitlines(), 1) if "control NicIngress(" in t)
    output = refused(start_lab("--program", str(source)), "does not compile")
    assert "hybrid_nic.p4" in output
    assert f"({line})" in output or f":{line}:" in output
    assert "bogus_t" in output
    assert "^" in output


def test_missing_p4_program(start_lab: StartLab, tmp_path: Path) -> None:
    refused(start_lab("--program", str(tmp_path / "none.p4")), "there is no P4 program")


@pytest.mark.parametrize("words", ["exit 7", "kill -9 $$"])
def test_a_switch_that_does_not_start(start_lab: StartLab, tmp_path: Path, words: str) -> None:
    broken = tmp_path / "bin" / "simple_switch_grpc"
    broken.parent.mkdir()
    broken.write_text(f"#!/bin/sh\necho no such luck\n{words}\n", encoding="utf-8")
    broken.chmod(0o755)
    path = f"{broken.parent}:{os.environ['PATH']}"
    output = refused(start_lab("--target", "bmv2", env={"PATH": path}), "the switch process of nic")
    assert "no such luck" in output
    assert "status 7" in output or "SIGKILL" in output


def test_taken_p4runtime_port(start_lab: StartLab) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start_lab("--p4runtime-port", str(port))
        refused(process, f"port {port}, where nic1 should serve P4Runtime, is taken")


@needs_root
def test_an_interface_of_somebody_else_is_not_touched(start_lab: StartLab) -> None:
    name = f"u{os.getpid() % 1000:03d}nic2-vf7"
    subprocess.run(["ip", "link", "add", name, "type", "veth"], check=True)
    try:
        process = start_lab()
        status, output = process.finish()
        assert status == 1
        assert f"{name} exists already" in output
        assert Path("/sys/class/net", name).exists()
    finally:
        subprocess.run(["ip", "link", "del", name], check=True)


def test_a_killed_lab_is_cleaned_up_by_the_next(start_lab: StartLab) -> None:
    main, terminal = pty.openpty()
    first = start_lab(stdin=terminal)
    first.wait_up()
    first.popen.kill()
    first.popen.wait()
    assert first.leftovers() != []
    second = start_lab(stdin=terminal)
    second.wait_up()
    assert second.lab("vms").returncode == 0
    second.popen.send_signal(signal.SIGTERM)
    _, output = second.finish()
    assert "removed what a killed lab had left" in output
    assert second.leftovers() == []
    os.close(main)
    os.close(terminal)


def test_recover_removes_what_a_killed_lab_left(start_lab: StartLab) -> None:
    main, terminal = pty.openpty()
    lab = start_lab(stdin=terminal)
    lab.wait_up()
    lab.popen.kill()
    lab.popen.wait()
    status, output = start_lab("--recover").finish()
    assert status == 0
    assert "links" in output
    assert lab.leftovers() == []
    os.close(main)
    os.close(terminal)


def test_interrupt_while_starting_leaves_nothing(start_lab: StartLab) -> None:
    process = start_lab("--tour")
    wait_for(lambda: any(Path("/sys/class/net").glob(f"{process.prefix}*")))
    process.popen.send_signal(signal.SIGINT)
    status, output = process.finish()
    assert status == 130, output
    assert "Traceback" not in output
    assert process.leftovers() == []


def test_the_lab_command_without_a_lab() -> None:
    environment = {**os.environ, "P4NIC_LAB_RUN": "/nonexistent"}
    command = [sys.executable, "-m", "control.cli", "vms"]
    result = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 1
    assert "start one with: make run" in result.stderr
    assert "Traceback" not in result.stderr
