"""The controller's façade: what CLI, REST API, tests and benches ask of a running lab."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from control.errors import ControlError, RefusedError
from control.ledger import CounterLedger
from control.migration.manager import MigrationManager, Outcome
from control.migration.ports import Hypervisor
from control.migration.record import Options
from control.migration.report import MigrationReport, PhaseTime
from control.model import AclRule, DesiredState, Vm, dump_document
from control.plane import Plane, PortStats
from control.policy.reasons import PORT_PF, PORT_UPLINK, vf_port
from control.store import STATE, Store


class Controller:
    """Owns the desired state of one lab. All methods run in one event loop."""

    def __init__(
        self,
        fabric: Plane,
        hypervisor: Hypervisor,
        store: Store,
        migrations: MigrationManager,
        about: str = "",
    ) -> None:
        self.fabric = fabric
        self.bus = fabric.bus
        self.about = about
        self.trace = False
        self._hypervisor = hypervisor
        self._store = store
        self.migrations = migrations
        self.ledger = CounterLedger(store)

    @property
    def state(self) -> DesiredState:
        """The desired state at present."""
        return self.fabric.state

    async def start(self, initial: DesiredState, timeout: float) -> None:
        """Take up the stored state, or else ``initial``; program every NIC within ``timeout`` s."""
        stored = self._store.load(STATE)
        try:
            state = initial if stored is None else DesiredState.model_validate(stored)
        except ValidationError as error:
            raise ControlError(
                f"the state of the last lab cannot be taken up: {_first(error)}; start anew, "
                "without --resume."
            ) from None
        await self.fabric.start(state)
        self.migrations.restore()
        for vm in self.state.vms:
            await self._hypervisor.attach(vm.name, *self.migrations.home(vm.name))
        await self.fabric.wait_ready(timeout)
        self.fabric.save()
        for report in await self.migrations.recover():
            self.bus.emit("migration", report.vm, f"{report.outcome}: {report.reason}".rstrip(": "))

    async def stop(self) -> None:
        """End all sessions."""
        await self.migrations.stop()
        await self.fabric.stop()
        self._store.close()

    # looking

    def servers(self) -> list[dict[str, Any]]:
        """Servers with their NIC and the VMs on them."""
        rows = []
        for server in self.state.servers:
            vms = [vm.name for vm in self.state.vms if vm.server == server.name]
            nic = self.state.nic(server.nic)
            row = {"server": server.name, "nic": server.nic, "ips": server.ips, "vms": vms}
            rows.append({**row, "vfs": nic.vfs, "free_vfs": nic.vfs - len(vms)})
        return rows

    def nics(self) -> list[dict[str, Any]]:
        """NICs with their session's state."""
        owners = {server.nic: server.name for server in self.state.servers}
        return [
            {**asdict(status), "server": owners.get(status.nic, "")}
            for status in self.fabric.status()
        ]

    def vms(self) -> list[dict[str, Any]]:
        """VMs with their place and addresses."""
        return [{**vm.model_dump(), "nic": self._nic_of(vm)} for vm in self.state.vms]

    def acl(self) -> list[dict[str, Any]]:
        """ACL rules, highest priority first."""
        rules = sorted(self.state.acl, key=lambda rule: (-rule.priority, rule.name))
        return [rule.model_dump() for rule in rules]

    def document(self) -> str:
        """The desired state as YAML."""
        return dump_document(self.state)

    def endpoint(self, nic: str) -> dict[str, Any]:
        """Where a NIC serves P4Runtime."""
        statuses = {status.nic: status for status in self.fabric.status()}
        status = statuses[_known("NIC", nic, statuses)]
        return {"address": status.address, "device_id": status.device_id}

    async def stats(self, vm: str | None = None) -> list[dict[str, Any]]:
        """Counters by VM; without a name also by PF and uplink."""
        vms = self.state.vms if vm is None else [self.vm(vm)]
        rows = []
        for nic in (server.nic for server in self.state.servers):
            ports = {vf_port(g.vf): g.name for g in vms if self._nic_of(g) == nic}
            if vm is None:
                ports.update({PORT_PF: "PF", PORT_UPLINK: "uplink"})
                if self.state.nic(nic).uplinks > 1:
                    ports[PORT_UPLINK + 1] = "uplink 2"
            if ports:
                stats = await self.fabric.port_stats(nic, list(ports))
                rows += [
                    _stats_row(ports[port], nic, self.ledger.total(ports[port], stats[port]))
                    for port in ports
                ]
        return rows

    def vm(self, name: str) -> Vm:
        """A VM by name; RefusedError if there is none."""
        return self.state.vm(_known("VM", name, [vm.name for vm in self.state.vms]))

    def _nic_of(self, vm: Vm) -> str:
        return self.state.server(vm.server).nic

    # changing

    async def acl_add(self, rule: dict[str, Any]) -> str:
        """Add an ACL rule; returns its name. ``src`` and ``dst`` may name VMs."""
        fields = {key: value for key, value in rule.items() if value is not None}
        for key in ("src", "dst"):
            if key in fields:
                fields[key] = self._prefix(fields[key])
        if "vm" in fields:
            self.vm(fields["vm"])

        def edit(state: DesiredState) -> DesiredState:
            fields.setdefault("name", _free_rule_name(state))
            try:
                return _with(state, acl=[*state.acl, AclRule.model_validate(fields)])
            except ValidationError as error:
                raise RefusedError(f"the rule is wrong: {_first(error)}.") from None

        await self.fabric.edit(edit)
        name = str(fields["name"])
        self.bus.emit("policy", "controller", f"acl add {name}")
        return name

    async def acl_delete(self, name: str) -> None:
        """Remove an ACL rule by name."""

        def edit(state: DesiredState) -> DesiredState:
            _known("ACL rule", name, [rule.name for rule in state.acl])
            return _with(state, acl=[rule for rule in state.acl if rule.name != name])

        await self.fabric.edit(edit)
        self.bus.emit("policy", "controller", f"acl del {name}")

    def migrate(
        self, vm: str, server: str, **wishes: float
    ) -> AsyncIterator[PhaseTime | MigrationReport]:
        """Move a VM to another server; yields each phase as it ends, then the report.

        ``wishes`` are fields of ``control.migration.record.Options``. Raises RefusedError for one
        that is out of range.
        """
        wishes.setdefault("memory_mib", self.vm(vm).memory_mib)
        try:
            options = Options.model_validate(wishes)
        except ValidationError as error:
            raise RefusedError(f"the migration's options are wrong: {_first(error)}.") from None
        return self.migrations.stream(vm, server, options)

    def evacuate(self, server: str) -> AsyncIterator[Outcome]:
        """Move all VMs off a server; yields what becomes of each, of one that stays the reason."""
        _known("server", server, [item.name for item in self.state.servers])
        return self.migrations.evacuate(server)

    def abort(self, vm: str) -> None:
        """Undo a migration that is under way; RefusedError if there is none or it is too late."""
        self.migrations.abort(self.vm(vm).name)

    def set_trace(self, on: bool) -> None:
        """Show events at the lab's prompt, or stop showing them."""
        self.trace = on

    def _prefix(self, text: str) -> str:
        """A VM's name as its first address; what may be a prefix as it is."""
        if not set(text) & set(".:/"):
            _known("VM", text, [vm.name for vm in self.state.vms])
        for vm in self.state.vms:
            if vm.name == text and vm.ips:
                address = vm.ips[0].partition("/")[0]
                return f"{address}/{128 if ':' in address else 32}"
        return text


def _with(state: DesiredState, **changes: Any) -> DesiredState:
    """A state with some lists replaced, validated as a whole."""
    return DesiredState.model_validate({**state.model_dump(), **changes})


def _free_rule_name(state: DesiredState) -> str:
    taken = {rule.name for rule in state.acl}
    return next(name for name in (f"r{i}" for i in itertools.count(1)) if name not in taken)


def _known(what: str, name: str, names: Iterable[str]) -> str:
    """Return ``name`` if it is one of ``names``; otherwise refuse, with the nearest one."""
    names = list(names)
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise RefusedError(f"there is no {what} {name!r}.{hint} Known: {', '.join(names) or 'none'}.")


def _first(error: ValidationError) -> str:
    """The first of pydantic's complaints in one line."""
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    given = problem["input"]
    if where and isinstance(given, (str, int, float)):
        return f"{where} is {given!r}: {message}"
    return f"{where}: {message}" if where else message


def _stats_row(name: str, nic: str, stats: PortStats) -> dict[str, Any]:
    return {"port": name, "nic": nic, **asdict(stats)}
