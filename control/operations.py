"""What an operator does to NICs beyond ACLs: VF settings, whole documents, explain, drops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from finsy.proto import p4r
from pydantic import BaseModel, ValidationError

from control.connections.manager import ConnectionManager
from control.connections.service import ConnectionService
from control.errors import RefusedError
from control.explain import Tables, Way, parse_question, trace
from control.fabric import Fabric
from control.model import DesiredState, DocumentError, Vm, parse_document
from control.model.types import mac_number
from control.policy import Entry
from control.policy.reasons import PORT_UPLINK, vf_port
from control.service import Controller

VF_SETTINGS = (
    "mac", "vlan", "vlan_protocol", "qos", "spoofchk", "source_guard", "trust",
    "max_tx_rate", "min_tx_rate", "state", "max_connections", "max_new_connections",
)  # fmt: skip
FIXED_SECTIONS = ("servers", "nics")
FIXED_FIELDS = ("server", "vf", "mac", "ips", "model", "memory_mib")
SECTIONS = tuple(name for name in DesiredState.model_fields if name not in FIXED_SECTIONS)
ALL_ENTRIES = p4r.Entity(table_entry=p4r.TableEntry())
_HOPS = 3


class Operations:
    """The operator's further verbs on one lab's controller."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    @property
    def _state(self) -> DesiredState:
        return self._controller.state

    def _fabric(self) -> Fabric:
        """The P4 NICs; RefusedError on a plane that has none."""
        fabric = self._controller.fabric
        if not isinstance(fabric, Fabric):
            raise RefusedError("this plane has no P4 NICs; start the lab with PLANE=hybrid.")
        return fabric

    # VF administration

    def vf_show(self, vm: str | None = None) -> list[dict[str, Any]]:
        """VF settings by VM."""
        vms = self._state.vms if vm is None else [self._controller.vm(vm)]
        return [
            {"vm": v.name, "server": v.server, "vf": v.vf, **v.model_dump(include={*VF_SETTINGS})}
            for v in vms
        ]

    async def vf_set(self, vm: str, setting: str, value: str) -> None:
        """Change one setting of a VM's VF; ``value`` as the operator writes it."""
        self._controller.vm(vm)
        if setting not in VF_SETTINGS:
            known = ", ".join(VF_SETTINGS)
            raise RefusedError(f"there is no VF setting {setting!r}; known: {known}.")
        given: object = None if setting == "vlan" and value in ("0", "none") else value

        def edit(state: DesiredState) -> DesiredState:
            try:
                changed = Vm.model_validate({**state.vm(vm).model_dump(), setting: given})
                vms = [changed if v.name == vm else v for v in state.vms]
                return DesiredState.model_validate({**state.model_dump(), "vms": vms})
            except ValidationError as error:
                problem = error.errors()[0]["msg"].removeprefix("Value error, ")
                raise RefusedError(f"{setting} {value}: {problem}.") from None

        await self._controller.fabric.edit(edit)
        self._tell(f"vf set {vm} {setting} {value}")

    # whole documents

    def plan(self, text: str, name: str) -> list[str]:
        """What a document would change, a line per thing.

        Raises RefusedError for a wrong document, and for one that asks for other hardware or VMs
        than the running lab has; ControlError if a NIC has no room for the change.
        """
        wanted = _parsed(text, name)
        lines = self._lines(wanted)
        if isinstance(self._controller.fabric, Fabric):
            self._controller.fabric.check(wanted)
        return lines

    def _lines(self, wanted: DesiredState) -> list[str]:
        """How the present state differs from a wanted one; RefusedError if it cannot become it."""
        self._check_hardware(wanted)
        return [line for section in SECTIONS for line in self._section(section, wanted)]

    def _check_hardware(self, wanted: DesiredState) -> None:
        for section in FIXED_SECTIONS:
            if getattr(wanted, section) != getattr(self._state, section):
                raise RefusedError(f"{section} differ from the running lab's; start it anew.")
        running = {vm.name: vm for vm in self._state.vms}
        if set(running) != {vm.name for vm in wanted.vms}:
            raise RefusedError("the VMs are not those of the running lab; start it anew.")
        for vm in wanted.vms:
            for field in FIXED_FIELDS:
                old, new = getattr(running[vm.name], field), getattr(vm, field)
                if old != new:
                    raise RefusedError(
                        f"{vm.name}: {field} is {old} in the running lab, {new} in the document; "
                        "a VM moves by migrate, its addresses are given at the start."
                    )

    def _section(self, section: str, wanted: DesiredState) -> list[str]:
        old, new = _named(getattr(self._state, section)), _named(getattr(wanted, section))
        lines = [f"+ {section} {key}" for key in new if key not in old]
        for key in new:
            if key in old and old[key] != new[key]:
                fields = (f for f in new[key] if old[key].get(f) != new[key][f])
                lines.append(f"~ {section} {key} ({', '.join(fields)})")
        return lines + [f"- {section} {key}" for key in old if key not in new]

    async def apply(self, text: str, name: str) -> list[str]:
        """Carry out a document; returns its plan. Applying it twice changes nothing."""
        wanted, lines = _parsed(text, name), list[str]()

        def edit(_: DesiredState) -> DesiredState:
            lines.extend(self._lines(wanted))
            return wanted

        await self._controller.fabric.edit(edit)
        if lines:
            self._tell(f"apply {name}: {len(lines)} changes")
        return lines

    def _tell(self, what: str) -> None:
        self._controller.bus.emit("policy", "controller", what)

    # looking

    async def drops(self) -> list[dict[str, Any]]:
        """Dropped packets by port and reason."""
        return [
            {"port": row["port"], "nic": row["nic"], "reason": reason, "packets": packets}
            for row in await self._controller.stats()
            for reason, packets in row["drops"].items()
        ]

    def connections(self) -> dict[str, Any]:
        """How many connections there are, by VM, and why the host refused others."""
        manager = self._manager()
        return {
            "connections": len(manager),
            "by_vm": {vm.name: manager.count(vm.name) for vm in self._state.vms},
            "refused": {refusal.value: count for refusal, count in manager.refused.items()},
            "missed": manager.overflow,
        }

    def _manager(self) -> ConnectionManager:
        for companion in self._fabric().companions:
            if isinstance(companion, ConnectionService):
                return companion.manager
        raise RefusedError("this plane keeps no connections.")

    async def explain(self, vm: str, text: str) -> list[dict[str, str]]:
        """What the NICs' installed entries do with a packet that a VM sends, step by step."""
        fabric = self._fabric()
        guest = self._controller.vm(vm)
        packet = parse_question(text, self._state, guest)
        place = fabric.placements[vm][-1]
        nic, port, network = place.nic, vf_port(place.vf), None
        rows: list[dict[str, str]] = []
        for _ in range(_HOPS):
            tables = Tables(await self._installed(fabric, nic))
            way = trace(tables, packet, port, network)
            rows += [
                {"nic": nic, "stage": step.stage, "does": step.says, "rule": step.rule}
                for step in way.steps
            ]
            beyond = self._beyond(fabric, nic, way)
            if beyond is None:
                break
            nic, packet, port, network = beyond, way.packet, PORT_UPLINK, way.network
        return rows

    def _beyond(self, fabric: Fabric, nic: str, way: Way) -> str | None:
        """The NIC at which a packet that left by the uplink arrives; None if it is none of ours."""
        if way.decided or way.out_port != PORT_UPLINK:
            return None
        if way.tunnel:
            return next((n.name for n in self._state.nics if n.id == way.tunnel), None)
        for vm in self._state.vms:
            place = fabric.placements[vm.name][-1]
            if place.nic != nic and mac_number(vm.mac) == way.packet.dst_mac:
                return place.nic
        return None

    async def _installed(self, fabric: Fabric, nic: str) -> list[Entry]:
        """A NIC's entries as read from it, with the notes of those that policy made."""
        session = fabric.nic(nic)
        notes = {_identity(entry): entry.note for entry in fabric.policy_entries(nic)}
        found = [session.encoder.decode(e.table_entry) for e in await session.read([ALL_ENTRIES])]
        return [
            replace(entry, note=notes.get(_identity(entry), "installed by the host"))
            for entry in found
        ]


def _parsed(text: str, name: str) -> DesiredState:
    """A document's state; RefusedError with the place of what is wrong in it."""
    try:
        return parse_document(text, name)
    except DocumentError as error:
        raise RefusedError(str(error)) from None


def _named(items: Iterable[BaseModel]) -> dict[str, dict[str, Any]]:
    """Things of one section by what names them."""
    found = {}
    for item in items:
        fields = item.model_dump(mode="json")
        name = fields.get("name") or fields.get("address")
        found[name or " ".join(fields[k] for k in ("tenant", "prefix") if k in fields)] = fields
    return found


def _identity(entry: Entry) -> object:
    """What identifies an entry whatever the order of its fields."""
    return entry.table, frozenset(entry.match), entry.priority
