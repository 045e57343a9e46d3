"""The native target: the program runs in this process, its ports are memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypedDict, TypeVar

from p4native.bmv2 import model
from p4native.bmv2.node import BmvJsonError
from p4native.codegen import CodegenError
from p4native.stf.errors import StfError, TargetError
from p4native.stf.schema import BoundAction, Entry, Table
from p4native.stf.script import Rate
from p4native.stf.target import Count
from p4native.stf.values import KeyMatch
from p4native.switch.build import BuildError
from p4native.switch.device import CloneSession, Device, MeterConfig, Replica, SwitchError
from p4native.switch.records import Flag, Op, Status, pack_op

DROP_PORT = 511
_MICROSECONDS = 1_000_000
_T = TypeVar("_T")
_Named = TypeVar(
    "_Named", model.Table, model.Action, model.Counter, model.Meter, model.Register
)  # fmt: skip


def _find(objects: Iterable[_Named], name: str, what: str) -> tuple[int, _Named]:
    """Position and object of that name, or of the only name that ends so."""
    numbered = list(enumerate(objects))
    found = [pair for pair in numbered if pair[1].name == name]
    found = found or [pair for pair in numbered if pair[1].name.endswith("." + name)]
    if len(found) != 1:
        known = ", ".join(item.name for _, item in numbered) or "none"
        raise StfError(f"there is no {what} '{name}'; the program has {known}")
    return found[0]


_MASKED = (model.MatchKind.TERNARY, model.MatchKind.RANGE, model.MatchKind.OPTIONAL)


class _MatchRecord(TypedDict):
    """The match part of an operation, as ``pack_op`` takes it."""

    key: bytes
    mask: bytes
    prefix_len: int
    priority: int


def _mask(match: KeyMatch) -> bytes:
    """The mask bytes: ternary mask, range high bound, prefix mask, or all ones for exact."""
    return _field(match.mask, match.width)


def _field(value: int, width: int) -> bytes:
    return value.to_bytes((width + 7) // 8, "big")


def _refused(call: Callable[..., _T], *args: object) -> _T:
    """The result of a switch call; its refusals become TargetError."""
    try:
        return call(*args)
    except SwitchError as fault:
        raise TargetError(str(fault)) from fault


class NativeTarget:
    """A switch without packet threads: a packet is done when ``send`` returns."""

    def __init__(self, program_json: bytes, *, trace: bool = False) -> None:
        self._device = Device(drop_port=DROP_PORT)
        try:
            self._pipeline = self._device.prepare(program_json, trace=trace)
            self._device.commit(self._pipeline)
        except (BmvJsonError, BuildError, CodegenError, SwitchError) as fault:
            self._device.stop()
            raise TargetError(f"the switch cannot run the program: {fault}") from fault
        for port in range(DROP_PORT):
            self._device.add_port(port)
        self._program = self._pipeline.program
        self._received: list[tuple[int, bytes]] = []
        self._inserted: list[tuple[Entry, int]] = []

    @property
    def device(self) -> Device:
        """The switch itself."""
        return self._device

    def close(self) -> None:
        """Frees the switch."""
        self._device.stop()

    def send(self, port: int, data: bytes) -> None:
        """Runs a packet to completion."""
        _refused(self._device.inject, port, data)
        self._received += self._device.collect()

    def settle(self, expected: Mapping[int, int]) -> None:
        """Nothing to wait for: packets are done when sent."""

    def outputs(self) -> list[tuple[int, bytes]]:
        """Packets out so far."""
        return list(self._received)

    def insert(self, entry: Entry) -> int:
        """Adds an entry; an action profile gets a member of its own for it."""
        index, table = _find(self._program.tables, entry.table.name, "table")
        action, data = self._action(table, entry.action)
        flags = 0
        if table.profile is not None:
            names = [profile.name for profile in self._program.profiles]
            member = len(self._inserted) + 1
            profile = names.index(table.profile)
            _refused(self._pipeline.insert_member, profile, member, action, data)
            action, data, flags = member, b"", Flag.MEMBER
        record = pack_op(
            Op.INSERT, index, action=action, data=data, flags=flags, **self._match(table, entry)
        )
        handle = self._write(record, f"table {table.name}")
        self._inserted.append((entry, handle))
        return len(self._inserted) - 1

    def _write(self, record: bytes, what: str) -> int:
        statuses, handles = _refused(self._pipeline.write, record, 1)
        status = Status(statuses[0])
        if status is not Status.OK:
            raise TargetError(f"{what}: the switch answered {status.name}")
        return handles[0]

    @staticmethod
    def _match(table: model.Table, entry: Entry) -> _MatchRecord:
        masked = any(key.kind in _MASKED for key in table.keys)
        lpm = [match.prefix_len for match in entry.matches if match.kind == "lpm"]
        return _MatchRecord(
            key=b"".join(_field(m.value, m.width) for m in entry.matches),
            mask=b"".join(_mask(m) for m in entry.matches) if masked else b"",
            prefix_len=0 if masked else sum(lpm),
            priority=entry.priority + 1 if masked else 0,
        )

    def remove(self, handle: int) -> None:
        """Deletes an entry."""
        entry, _ = self._inserted[handle]
        index, table = _find(self._program.tables, entry.table.name, "table")
        self._write(pack_op(Op.DELETE, index, **self._match(table, entry)), f"table {table.name}")

    def set_default(self, table: Table, action: BoundAction) -> None:
        """Replaces a default action."""
        index, found = _find(self._program.tables, table.name, "table")
        number, data = self._action(found, action)
        self._write(pack_op(Op.SET_DEFAULT, index, action=number, data=data), f"table {found.name}")

    def _action(self, table: model.Table, bound: BoundAction) -> tuple[int, bytes]:
        actions = [self._program.action(number) for number in table.action_ids]
        _, action = _find(actions, bound.action.name, "action")
        data = b"".join(
            _field(value, param.width)
            for param, value in zip(action.params, bound.args, strict=True)
        )
        return action.id, data

    def set_group(self, group: int, replicas: Sequence[tuple[int, int]]) -> None:
        """Sets a multicast group."""
        _refused(self._pipeline.set_multicast_group, group, [Replica(*copy) for copy in replicas])

    def set_mirror(self, session: int, replicas: Sequence[tuple[int, int]]) -> None:
        """Sets a clone session."""
        config = CloneSession(tuple(Replica(*copy) for copy in replicas))
        _refused(self._pipeline.set_clone_session, session, config)

    def delete_mirror(self, session: int) -> None:
        """Deletes a clone session."""
        _refused(self._pipeline.set_clone_session, session, None)

    def read_counter(self, name: str, index: int) -> Count:
        """A counter cell."""
        number, _ = _find(self._program.counters, name, "counter")
        return Count(*next(_refused(self._pipeline.counter_cells, number, index, 1)))

    def read_entry_counter(self, handle: int) -> Count:
        """An entry's direct counter."""
        entry, number = self._inserted[handle]
        index, _ = _find(self._program.tables, entry.table.name, "table")
        found = _refused(self._pipeline.by_handle, index, number)
        if found is None:
            raise TargetError(f"table {entry.table.name}: the entry is gone")
        return Count(found.packets, found.bytes)

    def write_counter(self, name: str, index: int, count: Count) -> None:
        """Sets a counter cell."""
        number, _ = _find(self._program.counters, name, "counter")
        cell = range(index, index + 1)
        _refused(self._pipeline.set_counter, number, cell, count.packets, count.bytes)

    def read_meter(self, name: str, index: int) -> tuple[Rate, Rate]:
        """A meter cell's rates."""
        number, _ = _find(self._program.meters, name, "meter")
        config = next(_refused(self._pipeline.meter_configs, number, index, 1))
        if config is None:
            raise TargetError(f"meter {name}[{index}] has no rates")
        return (
            Rate(config.cir / _MICROSECONDS, config.cburst),
            Rate(config.pir / _MICROSECONDS, config.pburst),
        )

    def write_meter(self, name: str, index: int | None, committed: Rate, peak: Rate) -> None:
        """Sets a meter cell's rates."""
        number, meter = _find(self._program.meters, name, "meter")
        config = MeterConfig(
            cir=round(committed.per_us * _MICROSECONDS),
            cburst=committed.burst,
            pir=round(peak.per_us * _MICROSECONDS),
            pburst=peak.burst,
        )
        cells = range(meter.size) if index is None else range(index, index + 1)
        _refused(self._pipeline.set_meter, number, cells, config)

    def read_register(self, name: str, index: int) -> int:
        """A register cell."""
        number, _ = _find(self._program.registers, name, "register")
        return next(_refused(self._pipeline.register_cells, number, index, 1))

    def write_register(self, name: str, index: int, value: int) -> None:
        """Sets a register cell."""
        number, _ = _find(self._program.registers, name, "register")
        _refused(self._pipeline.set_register, number, range(index, index + 1), value)

    def reset_register(self, name: str) -> None:
        """Clears a register."""
        number, register = _find(self._program.registers, name, "register")
        _refused(self._pipeline.set_register, number, range(register.size), 0)
