"""The planes under test: one lab each, all up at once, so that rounds can be interleaved."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.measure import VARIANTS
from topologies.lab import Lab, Options
from topologies.loader import load
from topologies.network import Ports
from topologies.planes import PLANES
from topologies.toolchain import choose_target

_P4RUNTIME = 21559
_THRIFT = 22090


def available() -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    """Subjects as name -> (plane, target), and those that cannot run here with the reason."""
    subjects = {name: (name, "native") for name in PLANES if name != "ovs"}
    subjects |= dict.fromkeys(VARIANTS, ("hybrid", "native"))
    subjects["ovs"] = ("ovs", "auto")
    absent: dict[str, str] = {}
    choice = choose_target("auto")
    if choice.name == "bmv2":
        subjects["hybrid-bmv2"] = ("hybrid", "bmv2")
    else:
        absent["hybrid-bmv2"] = choice.reason
    return subjects, absent


@contextmanager
def running(names: Sequence[str], topology: str = "two_servers") -> Iterator[dict[str, Lab]]:
    """Start a lab per subject; all are stopped at the end, whatever happens."""
    subjects, _ = available()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="p4nic-bench-")))
        labs = {}
        for number, name in enumerate(names):
            plane, target = subjects[name]
            options = Options(
                plane=plane,
                target=target,
                run_dir=directory / name,
                ports=Ports(
                    prefix=f"b{os.getpid() % 100:02d}{number}",
                    p4runtime=_P4RUNTIME + 16 * number,
                    thrift=_THRIFT + 16 * number,
                ),
            )
            wired = load(topology)
            if name in VARIANTS:
                wired = wired.with_guest_model(VARIANTS[name])
            labs[name] = stack.enter_context(Lab(wired, options))
        yield labs
