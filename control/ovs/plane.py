"""All Open vSwitch bridges of a lab: implements ``Plane`` by replacing what each bridge holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from control.announce import Announcement
from control.errors import ControlError, RefusedError
from control.events import EventBus
from control.model import DesiredState, Placement
from control.model.state import Network
from control.ovs.program import BridgeProgram, bridge_program
from control.ovs.refuse import unsupported
from control.ovs.tracked import Tracked, parse_tracked, revoked
from control.plane import Edit, NicStatus, PortStats, tell_uplinks
from control.policy import placements_of
from control.policy.networks import TAG_PROTOCOLS
from control.policy.reasons import PORT_UPLINK
from control.policy.view import View
from control.store import STATE, Store

_ASSUMED = frozenset({PORT_UPLINK})
ONE_BY_ONE = 100  # above, all of a VM's connections are judged anew by their next packet


class BridgeDownError(ControlError):
    """A bridge's processes have ended; it is programmed when they have been started again."""


class Bridge(Protocol):
    """One server's Open vSwitch. Its methods block, and raise ControlError with its words.

    BridgeDownError if its processes have ended.
    """

    @property
    def alive(self) -> bool:
        """Whether its processes run."""

    @property
    def management(self) -> str:
        """Where OpenFlow is spoken to it."""

    def replace(self, program: BridgeProgram) -> None:
        """Make it hold exactly this program; its rules change in one bundle: all or nothing."""

    def counters(self) -> dict[int, PortStats]:
        """Counters by OpenFlow port."""

    def connections(self) -> str:
        """All tracked connections, as dpctl/dump-conntrack prints them."""

    def forget(self, zone: int, connections: Sequence[Tracked] | None = None) -> None:
        """Stop tracking some connections of a zone (default: all)."""

    def send(self, port: int, frame: bytes) -> None:
        """Send a frame out of a port."""


def tagged(frame: bytes, network: Network) -> bytes:
    """A frame as it looks on the uplink: with the network's tag, if it has one."""
    if network.vlan is None:
        return frame
    protocol = TAG_PROTOCOLS[network.vlan_protocol]
    tag = protocol.to_bytes(2, "big") + network.vlan.to_bytes(2, "big")
    return frame[:12] + tag + frame[12:]


class OvsPlane:
    """Owns the desired state and writes it to every bridge as OpenFlow rules."""

    def __init__(self, bridges: Mapping[str, Bridge], store: Store, bus: EventBus) -> None:
        self.bus = bus
        self.lock = asyncio.Lock()
        self.placements: dict[str, tuple[Placement, ...]] = {}
        self._bridges = bridges
        self._store = store
        self._state: DesiredState | None = None
        self._rules: dict[str, int] = {}
        self._uplinks: dict[str, frozenset[int]] = {}
        self._tenants: dict[str, dict[int, str]] = {}

    @property
    def state(self) -> DesiredState:
        """The desired state at present."""
        if self._state is None:
            raise ControlError("the controller has not been started.")
        return self._state

    @property
    def nic_names(self) -> list[str]:
        """All bridges, by the name of the NIC they stand for."""
        return list(self._bridges)

    async def start(self, state: DesiredState) -> None:
        """Take up a desired state. RefusedError if it asks for what this plane does not do."""
        self._adopt(state)

    async def stop(self) -> None:
        """Nothing runs here; the bridges are their nodes'."""

    async def wait_ready(self, timeout: float) -> None:
        """Program every bridge."""
        async with self.lock:
            await asyncio.wait_for(self.program(), timeout)

    async def change(self, state: DesiredState) -> None:
        """See ``Plane.change``."""
        await self.edit(lambda _: state)

    async def edit(self, edit: Edit) -> None:
        """Program an edited state everywhere and save it; see ``Plane.edit``."""
        async with self.lock:
            before = self.state
            self._adopt(edit(before))
            try:
                await self.program()
            except ControlError:
                self._adopt(before)
                await self.program()
                raise
            self.save()

    def _adopt(self, state: DesiredState) -> None:
        missing = unsupported(state)
        if missing:
            raise RefusedError(
                f"Open vSwitch in this lab does not do {', '.join(missing)}; remove them from the "
                "document, or use PLANE=hybrid."
            )
        self._state = state
        self.placements = {p.vm: (p,) for p in placements_of(state)}

    def move(self, vm: str, server: str, vf: int) -> None:
        """Note in the desired state that a VM runs elsewhere now, and save it."""
        moved = self.state.vm(vm).model_copy(update={"server": server, "vf": vf})
        vms = [moved if other.name == vm else other for other in self.state.vms]
        self._adopt(self.state.model_copy(update={"vms": vms}))
        self.save()

    def save(self) -> None:
        """Store the desired state."""
        self._store.save(STATE, self.state.model_dump(mode="json"))

    async def program(self, nics: Sequence[str] | None = None) -> None:
        """Replace what some bridges (default: all) hold. The caller holds ``lock``."""
        names = self.nic_names if nics is None else nics
        await asyncio.gather(*(self._program(name) for name in names))

    async def _program(self, nic: str) -> None:
        try:
            count = await asyncio.to_thread(self._write, nic, self.state)
        except BridgeDownError as error:
            self._rules[nic] = 0
            self.bus.emit("nic", nic, f"not programmed until it is started again: {error}")
            return
        self._rules[nic] = count
        self.bus.emit("nic", nic, f"{count} OpenFlow rules")

    def _write(self, nic: str, state: DesiredState) -> int:
        """Program one bridge and end connections that are not allowed any more; blocks."""
        bridge = self._bridges[nic]
        up = self.uplinks(nic)
        program = bridge_program(state, nic, up)
        bridge.replace(program)
        view = View(state, nic, uplinks_up=up)
        for zone in self._abandoned(nic, view):
            bridge.forget(zone)
        if any(guest.stateful for guest in view.local):
            ended: dict[int, list[Tracked]] = {}
            for connection in revoked(view, parse_tracked(bridge.connections())):
                ended.setdefault(connection.zone, []).append(connection)
            for zone, connections in ended.items():
                bridge.forget(zone, connections if len(connections) <= ONE_BY_ONE else None)
        return len(program.flows)

    def _abandoned(self, nic: str, view: View) -> Iterator[int]:
        """Zones whose VM has gone, or been followed by another, since the bridge was written."""
        before = self._tenants.get(nic, {})
        now = {guest.port: guest.vm.name for guest in view.local}
        self._tenants[nic] = {**before, **now}
        yield from (port for port, vm in now.items() if before.get(port, vm) != vm)

    async def restarted(self, nic: str) -> None:
        """Program a bridge that was started again: it holds nothing."""
        async with self.lock:
            await self.program([nic])

    async def set_uplinks(self, nic: str, ports: frozenset[int]) -> None:
        """Note which uplinks of a bridge have link, and program it accordingly."""
        if ports == self.uplinks(nic):
            return
        tell_uplinks(self.bus, nic, ports)
        async with self.lock:
            self._uplinks[nic] = ports
            await self.program([nic])

    def uplinks(self, nic: str) -> frozenset[int]:
        """Uplink ports of a bridge that have link, as far as is known."""
        return self._uplinks.get(nic, _ASSUMED)

    async def announce(self, nic: str, told: Announcement) -> None:
        """Send an announcement out of the bridge's port that it is for; guests see no tag."""
        port, network, frame = told
        sent = tagged(frame, network) if port == PORT_UPLINK else frame
        await asyncio.to_thread(self._bridges[nic].send, port, sent)

    def is_up(self, nic: str) -> bool:
        """Whether a bridge's processes run."""
        return self._bridges[nic].alive

    def status(self) -> list[NicStatus]:
        """Every bridge, in the state's order."""
        return [
            NicStatus(
                nic=name,
                address=bridge.management,
                device_id=number,
                up=bridge.alive,
                entries=self._rules.get(name, 0),
                sessions=1,
            )
            for number, (name, bridge) in enumerate(self._bridges.items(), 1)
        ]

    async def port_stats(self, nic: str, ports: Sequence[int]) -> dict[int, PortStats]:
        """Counters of some ports of one bridge, as the guest behind the port sees them."""
        counters = await asyncio.to_thread(self._bridges[nic].counters)
        return {port: counters.get(port, PortStats()) for port in ports}
