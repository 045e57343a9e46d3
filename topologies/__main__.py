"""``python -m topologies``: start a lab, then a prompt; without a terminal, the tour."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from control.errors import ControlError
from topologies.errors import LabError
from topologies.rundir import RunDirectory
from topologies.signals import end_in_order

if TYPE_CHECKING:
    from topologies.lab import Lab


def main(arguments: list[str] | None = None) -> int:
    """Run the lab; returns the exit status. Errors are one paragraph on standard error."""
    options = _parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else 120)
    end_in_order()
    try:
        if options.recover:
            return _recover(console)
        return _run(options, console)
    except (LabError, ControlError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m topologies", description=__doc__)
    add = parser.add_argument
    add("--topo", default="two_servers", help="a topology's name, or the path of a .yaml file")
    add("--target", default=os.environ.get("TARGET", "auto"), help="auto, native or bmv2")
    add("--p4c", default=os.environ.get("P4C", "auto"), help="auto, p4c or native")
    add("--plane", default=os.environ.get("PLANE", "hybrid"), help="what sits in the servers")
    add("--program", type=Path, help="another P4 program for the NICs")
    add("--tour", action="store_true", help="run the scripted tour instead of a prompt")
    add("--resume", action="store_true", help="take up the last lab's desired state")
    add("--p4runtime-port", type=int, default=9559, help="P4Runtime port of the first NIC")
    add("--thrift-port", type=int, default=9090, help="thrift port of the first NIC (BMv2)")
    add("--prefix", default="", help="letters before interface names, to keep two labs apart")
    add("--recover", action="store_true", help="only remove what a killed lab left behind")
    return parser.parse_args(arguments)


def _recover(console: Console) -> int:
    """Remove what a killed lab left behind."""
    if os.geteuid() != 0:
        return 0  # whoever cannot make a lab has none to remove
    with RunDirectory() as rundir:
        removed = rundir.acquire()
    if removed:
        console.print(f"removed what a killed lab had left: {removed}")
    return 0


def _run(options: argparse.Namespace, console: Console) -> int:
    """Start the lab; then the prompt, or the tour."""
    # Imported here so that --help and --recover need neither Mininet nor gRPC.
    from topologies.lab import Lab, Options
    from topologies.network import Ports

    lab = Lab(
        options.topo,
        Options(
            target=options.target,
            compiler=options.p4c,
            plane=options.plane,
            program=options.program,
            ports=Ports(
                prefix=options.prefix,
                p4runtime=options.p4runtime_port,
                thrift=options.thrift_port,
            ),
            resume=options.resume,
        ),
    )
    console.print(lab.describe(), highlight=False)
    try:
        with console.status("starting") as status:
            lab.start(status.update)
        if lab.removed:
            console.print(f"removed what a killed lab had left: {lab.removed}", highlight=False)
        if options.tour or not sys.stdin.isatty():
            from topologies import tour

            return 0 if tour.run(lab, console) else 1
        from topologies.prompt import Prompt

        console.print("the lab is up; help lists the words, exit ends it")
        unfollow = lab.spawn(_follow(lab, console))
        Prompt(lab)
        unfollow()
        return 0
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave things behind
        try:
            with console.status("stopping"):
                lab.stop()
        finally:
            lab.stop()  # a terminal that is gone does not even take that word


async def _follow(lab: Lab, console: Console) -> None:
    """Print events at the prompt: deaths and returns of NICs always, the rest while tracing."""
    with lab.bus.subscribe() as queue:
        while True:
            event = await queue.get()
            if lab.controller.trace or event.kind == "nic":
                console.print(event.line(), highlight=False, markup=False, soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
