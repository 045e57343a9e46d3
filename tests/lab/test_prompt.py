"""The prompt in a terminal, the tour without one, and the ``lab`` command beside them."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from topologies.lab import Lab

from .conftest import starter
from .helpers import ROOT, Process, lab_options, wait_for

StartLab = Callable[..., Process]
PROMPT = "lab> "


class Terminal:
    """A lab at whose prompt a test types."""

    def __init__(self, start_lab: StartLab) -> None:
        self._main, terminal = pty.openpty()
        self.lab = start_lab(stdin=terminal, stdout=terminal)
        os.close(terminal)
        self._seen = ""

    def read_until(self, words: str, seconds: float = 40) -> str:
        """Everything that appears up to and including ``words``."""
        deadline = time.monotonic() + seconds
        while words not in self._seen:
            left = deadline - time.monotonic()
            assert left > 0, f"no {words!r} in:\n{self._seen}"
            if select.select([self._main], [], [], left)[0]:
                self._seen += os.read(self._main, 65536).decode(errors="replace")
        before, _, self._seen = self._seen.partition(words)
        return before + words

    def say(self, line: str) -> str:
        """Type a line; returns what is printed before the next prompt."""
        self.write(line)
        self.read_until(line)  # the terminal's echo
        return self.read_until(PROMPT)

    def write(self, line: str) -> None:
        """Type a line and go on."""
        os.write(self._main, f"{line}\n".encode())

    def close(self) -> None:
        """Hang up."""
        if self._main >= 0:
            os.close(self._main)
            self._main = -1


@pytest.fixture(scope="module")
def terminal() -> Iterator[Terminal]:
    """One lab for the tests that type at its prompt; it ends by the word for that."""
    with starter("prompt", "p") as start:
        opened = Terminal(start)
        opened.read_until(PROMPT)
        yield opened
        opened.write("exit")
        assert opened.lab.popen.wait(30) == 0
        assert opened.lab.leftovers() == []
        opened.close()


def test_the_words_at_the_prompt_and_from_outside(terminal: Terminal) -> None:
    lab = terminal.lab
    assert "Move a running VM" in terminal.say("help")
    assert "vm1, vm2" in terminal.say("servers")
    assert "up" in terminal.say("nics")
    assert "rule r1 added" in terminal.say("acl add vm2 deny icmp --from vm1")
    assert "10.0.0.1/32" in lab.lab("acl", "list").stdout
    assert "100% packet loss" in terminal.say("vm1 ping -c1 -W1 vm2")
    assert "rule r1 removed" in lab.lab("acl", "del", "r1").stdout
    assert " 0% packet loss" in terminal.say("vm1 ping -c1 -W1 vm2")
    assert "there is no ACL rule 'r1'" in terminal.say("acl del r1")
    assert "No such option: --frm" in terminal.say("acl add vm2 deny --frm vm1")
    assert "there is no VM 'vm9'" in lab.lab("stats", "vm9").stderr
    assert "trace is on" in terminal.say("trace on")
    assert lab.lab("acl", "add", "vm3", "deny", "udp").returncode == 0
    assert "rules_in_v4_table" in terminal.read_until("deny_in_v4")
    assert "vms:" in lab.lab("state").stdout
    assert "deny_in_v4" in lab.lab("events").stdout
    assert "--grpc-addr 127.0.0.1:" in lab.lab("endpoint", "nic1").stdout
    assert "trace is off" in terminal.say("trace off")


def test_mininets_words_fit_the_lab_and_none_ends_it(terminal: Terminal) -> None:
    assert "0% dropped (12/12 received)" in terminal.say("pingall")
    assert "b/s" in terminal.say("iperf vm1 vm3")
    usage = terminal.say("acl")
    assert "Rules, highest priority first" in usage and "error" not in usage
    assert "there is no VM 'vm9'; there are: vm1, vm2, vm3, vm4" in terminal.say("iperf vm1 vm9")
    assert "make shell" in terminal.say("dpctl dump-flows")
    assert "name a text file" in terminal.say("source nowhere")
    assert "there is no P4 NIC 'tor'; there are: nic1, nic2" in terminal.say("switch tor stop")
    terminal.say("switch nic1 stop")
    assert "DOWN" in terminal.say("nics")
    assert "is stopped already" in terminal.say("switch nic1 stop")
    assert "100% packet loss" in terminal.say("vm1 ping -c1 -W1 vm2")
    terminal.say("switch nic1 start")
    wait_for(lambda: "DOWN" not in terminal.say("nics"))
    assert " 0% packet loss" in terminal.say("vm1 ping -c1 -W1 vm2")


def test_a_dying_nic_is_told_at_the_prompt(terminal: Terminal) -> None:
    journal = (terminal.lab.run_dir / "journal").read_text(encoding="utf-8").splitlines()
    pids = [entry["pid"] for entry in map(json.loads, journal) if "pid" in entry]
    os.kill(pids[-1], signal.SIGKILL)  # the last process that was started is a switch
    assert "killed by SIGKILL" in terminal.read_until("started again")
    terminal.read_until("connected again")
    terminal.write("")
    terminal.read_until(PROMPT)


def test_two_labs_at_once(terminal: Terminal) -> None:
    environment = {**os.environ, "P4NIC_LAB_RUN": str(terminal.lab.run_dir)}
    command = [sys.executable, "-m", "topologies"]
    second = subprocess.run(
        command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert second.returncode == 1
    assert "running already" in second.stderr
    assert "Traceback" not in second.stderr
    assert terminal.lab.lab("vms").returncode == 0


def test_hanging_up_ends_the_lab_in_order(start_lab: StartLab) -> None:
    """With the terminal gone, so that not a word can be written."""
    terminal = Terminal(start_lab)
    terminal.read_until(PROMPT)
    terminal.close()
    terminal.lab.popen.send_signal(signal.SIGHUP)
    terminal.lab.popen.wait(30)
    assert terminal.lab.leftovers() == []


def test_without_a_terminal_the_tour_runs_and_passes(start_lab: StartLab) -> None:
    process = start_lab()
    status, output = process.finish(110)
    assert status == 0, output
    assert "steps passed" in output
    assert "FAIL" not in output
    assert process.leftovers() == []


def test_the_state_is_taken_up_when_asked(start_lab: StartLab) -> None:
    started: list[Process] = []

    def run(*arguments: str, words: tuple[str, ...]) -> str:
        main, terminal = pty.openpty()
        process = start_lab(*arguments, stdin=terminal)
        started.append(process)
        process.wait_up()
        result = process.lab(*words)
        process.popen.send_signal(signal.SIGTERM)
        process.finish()
        os.close(main)
        os.close(terminal)
        assert result.returncode == 0, result.stderr
        return result.stdout

    run(words=("acl", "add", "vm1", "deny", "udp", "--name", "kept"))
    assert "kept" in run("--resume", words=("acl", "list"))
    with Lab("two_servers", lab_options(started[0].run_dir, started[0].prefix)) as anew:
        assert anew.controller.state.acl == []


def test_a_wrong_run_directory_is_told(start_lab: StartLab, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("", encoding="utf-8")
    process = start_lab(env={"P4NIC_LAB_RUN": str(blocked / "run")})
    status, output = process.finish()
    assert status == 1
    assert "Traceback" not in output
    assert str(blocked) in output
    wait_for(lambda: process.leftovers() == [])
