"""The planes a lab can run on: what sits in the servers, and who programs it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from control.events import EventBus
from control.fabric import Endpoint, Fabric
from control.nic import Pipeline
from control.store import Store
from topologies.errors import LabError
from topologies.network import LabNetwork
from topologies.toolchain import ROOT, Program


@dataclass(frozen=True)
class P4Plane:
    """Every NIC runs one P4 program on a software switch."""

    name: str
    source: Path

    def controller(
        self, network: LabNetwork, program: Program, store: Store, bus: EventBus
    ) -> Fabric:
        """The programmer of all NICs. Call it in the controller's loop."""
        endpoints = [
            Endpoint(nic.name, nic.address, nic.options.device_id) for nic in network.nics.values()
        ]
        return Fabric(endpoints, Pipeline(program.p4info, program.json), store, bus)


PLANES = {"hybrid": P4Plane("hybrid", ROOT / "p4src" / "hybrid_nic.p4")}


def plane(name: str) -> P4Plane:
    """A plane by name; LabError if there is none."""
    try:
        return PLANES[name]
    except KeyError:
        raise LabError(f"PLANE={name} is unknown; expected one of {', '.join(PLANES)}.") from None
