"""The lab's prompt: Mininet's, with the words of the ``lab`` command added."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mininet.cli import CLI

from control import cli
from control.errors import ControlError
from topologies.errors import LabError
from topologies.lab import Lab
from topologies.machine import Machine
from topologies.tour_tools import StepFailed, tcp_gbps


def words() -> dict[str, str]:
    """The ``lab`` command's visible words with one line of help each."""
    found = {}
    for command in cli.app.registered_commands:
        if not command.hidden and command.callback is not None:
            name = command.name or command.callback.__name__
            found[name] = (command.callback.__doc__ or "").strip().splitlines()[0]
    for group in cli.app.registered_groups:
        if group.name and group.typer_instance is not None:
            found[group.name] = str(group.typer_instance.info.help)
    return found


class Prompt(CLI):
    """Mininet's command line of a running lab."""

    prompt = "lab> "

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        super().__init__(lab.network.net)

    def completedefault(self, text: str, *_: Any) -> list[str]:
        """Complete arguments with the names of nodes."""
        return [name for name in self.mn if name.startswith(text)]

    def onecmd(self, line: str) -> bool:
        """Run one line; whatever goes wrong with it, the lab and its prompt stay."""
        try:
            return bool(super().onecmd(line))
        except (LabError, ControlError, StepFailed) as error:
            print(f"error: {error}", file=sys.stderr)
        except Exception as error:
            logging.getLogger(__name__).exception("at the prompt: %s", line)
            print(
                f"error: {line}: {error or type(error).__name__} "
                f"(more in {self._lab.rundir.logs}/lab.log)",
                file=sys.stderr,
            )
        return False

    def do_help(self, line: str) -> None:
        """List all words; the lab's own first."""
        if not line:
            print(
                "\nThe lab's words (HELP of one: WORD --help; the same words after .venv/bin/lab):"
            )
            for name, text in sorted(words().items()):
                print(f"  {name:11} {text}")
        super().do_help(line)

    def do_pingall(self, line: str) -> None:
        """Ping between all VMs: pingall [seconds to wait for an answer]."""
        hosts = [self.mn[vm.name] for vm in self._lab.topology.vms]
        self.mn.ping(hosts, timeout=line or "1")

    def do_iperf(self, line: str) -> None:
        """Measure TCP between two VMs with iperf3: iperf [vm1 vm3]."""
        source, target = self._pair(line)
        gbps = tcp_gbps(source, target)
        rate = f"{gbps:.2f} Gb/s" if gbps >= 1 else f"{gbps * 1000:.3g} Mb/s"
        print(f"{source.name} → {target.name}: {rate}")

    def _pair(self, line: str) -> tuple[Machine, Machine]:
        """The two VMs that a line names; the first two if it names none."""
        names = line.split() or [vm.name for vm in self._lab.topology.vms[:2]]
        if len(names) != 2:
            raise LabError(f"two VMs are needed, as in: iperf vm1 vm3 (given: {line or 'none'})")
        return self._lab.vm(names[0]), self._lab.vm(names[1])

    def do_iperfudp(self, _line: str) -> None:
        """Say how to measure UDP."""
        print("run iperf3 itself: vm3 iperf3 -s -D -1, then: vm1 iperf3 -u -b 1G -c vm3")

    def do_source(self, line: str) -> None:
        """Run the lines of a file: source FILE."""
        try:
            lines = Path(line).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LabError(f"source {line}: {error}; name a text file of lines to run") from None
        for each in lines:
            self.onecmd(each)

    def do_dpctl(self, _line: str) -> None:
        """Say where a NIC's tables are seen."""
        print("dpctl is OpenFlow's; a P4 NIC's tables are seen with: make shell NIC=nic1")

    def do_switch(self, line: str) -> None:
        """Stop a NIC's switch process, or start it again: switch nic1 stop|start."""
        name, _, verb = line.partition(" ")
        if verb.strip() not in ("start", "stop"):
            raise LabError(f"say switch NIC stop, or switch NIC start (given: {line or 'nothing'})")
        self._lab.power(name, on=verb.strip() == "start")


def _runner(name: str, text: str) -> Callable[[Prompt, str], None]:
    """A method that runs one word of the ``lab`` command."""

    def do(_self: Prompt, line: str) -> None:
        try:
            arguments = shlex.split(line)
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            return
        cli.run_words([name, *arguments])

    do.__doc__ = text
    return do


for _name, _text in words().items():
    setattr(Prompt, f"do_{_name}", _runner(_name, _text))
