"""The planes a lab can run on: what sits in the servers, and who programs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

from control.connections.service import ConnectionService
from control.events import EventBus
from control.fabric import Compiler, Endpoint, Fabric
from control.ledger import CounterLedger
from control.migration.attempt import Attempt
from control.migration.manager import MigrationManager, Progress
from control.migration.record import Record
from control.migration.replug import Replug
from control.migration.site import Site
from control.model.types import GuestModel
from control.ovs.plane import OvsPlane
from control.policy import compile_nic
from control.policy.sriov import compile_sriov
from control.service import Controller
from control.session import Pipeline
from control.store import Store
from topologies.errors import LabError
from topologies.hypervisor import Hypervisor
from topologies.network import AddSwitch, LabNetwork, add_open_vswitch, add_p4_nic
from topologies.ovs import datapath_type, require_open_vswitch
from topologies.toolchain import ROOT, Choice, Program, choose_target, require_c_compiler


@dataclass(frozen=True)
class Parts:
    """What a plane's controller is put together from."""

    network: LabNetwork
    program: Program | None
    store: Store
    bus: EventBus
    hypervisor: Hypervisor
    about: str


class PlaneKit(ABC):
    """How one plane is built and controlled."""

    name: str
    source: Path | None
    """The P4 program, where the plane runs one."""

    guest_model: GuestModel | None = None
    """How VFs reach guests on this plane, whatever the document says; None leaves it alone."""

    @abstractmethod
    def target(self, wish: str) -> Choice:
        """Which engine runs it, and why. Raises LabError if it cannot run here."""

    @abstractmethod
    def offloads(self, target: Choice) -> bool:
        """Whether guests may leave checksums and segments to what carries their frames."""

    @property
    @abstractmethod
    def add_switch(self) -> AddSwitch:
        """Makes the node of one NIC."""

    @abstractmethod
    def controller(self, parts: Parts) -> Controller:
        """The controller; call it in the controller's loop."""


@dataclass(frozen=True)
class P4Plane(PlaneKit):
    """Every NIC runs one P4 program on a software switch."""

    name: str
    source: Path

    def target(self, wish: str) -> Choice:
        """BMv2 or our own switch."""
        choice = choose_target(wish)
        if choice.name == "native":
            require_c_compiler()
        return choice

    def offloads(self, target: Choice) -> bool:
        """BMv2 reads frames as they lie in memory and knows nothing of partial checksums."""
        return target.name == "native"

    @property
    def add_switch(self) -> AddSwitch:
        """One switch process per NIC."""
        return add_p4_nic

    def controller(self, parts: Parts) -> Controller:
        """A P4Runtime session per NIC; migrations that hold and redirect."""
        fabric = _fabric(parts)
        hypervisor, store = parts.hypervisor, parts.store
        ledger = CounterLedger(store)
        ledger.watch(fabric)
        connections = ConnectionService(fabric)
        fabric.companions.append(connections)

        def begin(record: Record, progress: Progress | None) -> Attempt:
            site = Site(fabric, record.vm)
            return Attempt(
                record,
                site,
                store=store,
                hypervisor=hypervisor,
                movers=(connections.manager, ledger),
                progress=progress,
            )

        migrations = MigrationManager(fabric, store, begin)
        return Controller(fabric, hypervisor, store, migrations, parts.about)


class OvsKit(PlaneKit):
    """Every server runs an Open vSwitch; migrations re-plug and announce."""

    name = "ovs"
    source = None

    def target(self, wish: str) -> Choice:
        """The datapath that the kernel allows."""
        require_open_vswitch()
        kind = datapath_type()
        reason = "openvswitch module loaded" if kind == "system" else "no openvswitch module here"
        return Choice("ovs", f"{kind} datapath, {reason}")

    def offloads(self, target: Choice) -> bool:
        """The userspace datapath has segmentation only where it has no tunnels."""
        return datapath_type() == "system"

    @property
    def add_switch(self) -> AddSwitch:
        """One ovs-vswitchd per server."""
        return add_open_vswitch

    def controller(self, parts: Parts) -> Controller:
        """OpenFlow rules, replaced in one bundle per change."""
        plane = OvsPlane(parts.network.nics, parts.store, parts.bus)

        def begin(record: Record, progress: Progress | None) -> Replug:
            return Replug(record, progress, plane, parts.hypervisor)

        migrations = MigrationManager(plane, parts.store, begin)
        return Controller(plane, parts.hypervisor, parts.store, migrations, parts.about)


@dataclass(frozen=True)
class SriovPlane(P4Plane):
    """The fixed-function card: the guest's device is the VF itself, and migrating re-plugs it."""

    guest_model: GuestModel | None = "vf"

    def controller(self, parts: Parts) -> Controller:
        """P4Runtime sessions that refuse what the card cannot do."""
        fabric = _fabric(parts, compile_sriov)

        def begin(record: Record, progress: Progress | None) -> Replug:
            return Replug(record, progress, fabric, parts.hypervisor)

        migrations = MigrationManager(fabric, parts.store, begin)
        return Controller(fabric, parts.hypervisor, parts.store, migrations, parts.about)


def _fabric(parts: Parts, compiler: Compiler = compile_nic) -> Fabric:
    """Sessions with all NICs of the network."""
    if parts.program is None:
        raise LabError("this plane needs a P4 program")
    endpoints = [
        Endpoint(nic.name, nic.address, nic.options.device_id)
        for nic in parts.network.nics.values()
    ]
    pipeline = Pipeline(parts.program.p4info, parts.program.json)
    return Fabric(endpoints, pipeline, parts.store, parts.bus, compiler)


_KITS: tuple[PlaneKit, ...] = (
    P4Plane("hybrid", ROOT / "p4src" / "hybrid_nic.p4"),
    SriovPlane("sriov", ROOT / "p4src" / "sriov_nic.p4"),
    OvsKit(),
)
PLANES = {kit.name: kit for kit in _KITS}


def plane(name: str, program: Path | None = None) -> PlaneKit:
    """A plane by name, with another P4 program if one is given; LabError if there is none."""
    try:
        kit = PLANES[name]
    except KeyError:
        raise LabError(f"PLANE={name} is unknown; expected one of {', '.join(PLANES)}.") from None
    if program is None:
        return kit
    if not isinstance(kit, P4Plane):
        raise LabError(f"the plane {name} runs no P4 program; leave --program out.")
    return replace(kit, source=program)
