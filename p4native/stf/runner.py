"""Runs the statements of a script on a target and gathers the result."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import singledispatchmethod

from p4native.stf import script as ast
from p4native.stf.compare import compare
from p4native.stf.errors import StfError
from p4native.stf.schema import Entry, Schema
from p4native.stf.target import Count, Target

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(slots=True)
class Result:
    """The outcome of a script: it passed when there are no faults."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outputs: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything was as the script expects."""
        return not self.faults


class _Replication:
    """Multicast groups as scripts build them: numbered nodes, associated to groups."""

    def __init__(self) -> None:
        self._nodes: list[tuple[int, tuple[int, ...]]] = []
        self._groups: dict[int, list[int]] = {}
        self._mirrors: dict[int, int] = {}

    def create_group(self, group: int) -> None:
        if group in self._groups:
            raise StfError(f"multicast group {group} exists already")
        self._groups[group] = []

    def create_node(self, rid: int, ports: tuple[int, ...]) -> int:
        self._nodes.append((rid, ports))
        return len(self._nodes) - 1

    def update_node(self, node: int, ports: tuple[int, ...]) -> list[int]:
        """Changes a node's ports; the groups that hold it."""
        self._check_node(node)
        self._nodes[node] = (self._nodes[node][0], ports)
        return [group for group, nodes in self._groups.items() if node in nodes]

    def associate(self, group: int, node: int) -> None:
        self._check_node(node)
        if group not in self._groups:
            raise StfError(f"there is no multicast group {group}; use mc_mgrp_create first")
        self._groups[group].append(node)

    def mirror(self, session: int, group: int | None) -> None:
        """Binds a clone session to a group, or to none."""
        self._mirrors.pop(session, None)
        if group is not None:
            self._mirrors[session] = group

    def mirrors_of(self, group: int) -> list[int]:
        """The clone sessions that copy to a group."""
        return [session for session, target in self._mirrors.items() if target == group]

    def replicas(self, group: int) -> list[tuple[int, int]]:
        """The copies of a group as (port, rid), node by node."""
        return [
            (port, self._nodes[node][0])
            for node in self._groups.get(group, [])
            for port in self._nodes[node][1]
        ]

    def _check_node(self, node: int) -> None:
        if not 0 <= node < len(self._nodes):
            raise StfError(f"there is no multicast node {node}; {len(self._nodes)} were created")


class Runner:
    """One run of one script; use ``run`` once."""

    def __init__(self, schema: Schema, target: Target) -> None:
        self._schema = schema
        self._target = target
        self._replication = _Replication()
        self._sessions: set[int] = set()
        self._handles: list[int] = []
        self._labels: dict[str, int] = {}
        self._expects: list[ast.Expect] = []
        self._watched: set[int] = set()
        self._quiet = False
        self._in_flight = False
        self._result = Result()

    def run(self, statements: Sequence[ast.Statement]) -> Result:
        """Executes every statement, then compares the packets; never raises StfError."""
        self._quiet = any(isinstance(s, ast.NoPacket) and s.port is None for s in statements)
        for statement in statements:
            try:
                if not isinstance(statement, (ast.Packet, ast.Expect, ast.NoPacket)):
                    self._settle()
                self._execute(statement)
            except StfError as fault:
                self._result.faults.append(f"line {statement.line}: {fault}")
        self._in_flight = True
        self._settle()
        self._result.outputs = self._target.outputs()
        outcome = compare(self._expects, self._result.outputs, self._watched, all_ports=self._quiet)
        self._result.faults += outcome.faults
        self._result.notes += outcome.notes
        return self._result

    def _settle(self) -> None:
        """Lets packets sent before a command be processed under the old state."""
        if self._in_flight:
            self._target.settle(Counter(expect.port for expect in self._expects))
            self._in_flight = False

    def _note(self, statement: ast.Statement, text: str) -> None:
        self._result.notes.append(f"line {statement.line}: {text}")

    @singledispatchmethod
    def _execute(self, statement: ast.Statement) -> None:
        raise StfError(f"the runner has no rule for {type(statement).__name__}")

    @_execute.register
    def _(self, statement: ast.Packet) -> None:
        self._watched.add(statement.port)
        self._target.send(statement.port, statement.data)
        self._in_flight = True

    @_execute.register
    def _(self, statement: ast.Expect) -> None:
        self._watched.add(statement.port)
        self._expects.append(statement)

    @_execute.register
    def _(self, statement: ast.NoPacket) -> None:
        if statement.port is not None:
            self._watched.add(statement.port)

    @_execute.register
    def _(self, statement: ast.Wait) -> None:
        """Settling happened before."""

    @_execute.register
    def _(self, statement: ast.Add) -> None:
        table = self._schema.table(statement.table)
        entry = Entry(
            table,
            self._schema.bind_matches(table, statement.matches),
            statement.priority or 0,
            self._schema.bind_action(table, statement.action),
        )
        handle = self._target.insert(entry)
        self._handles.append(handle)
        if statement.label is not None:
            self._labels[statement.label] = handle

    @_execute.register
    def _(self, statement: ast.SetDefault) -> None:
        table = self._schema.table(statement.table)
        self._target.set_default(table, self._schema.bind_action(table, statement.action))

    @_execute.register
    def _(self, statement: ast.Remove) -> None:
        doomed = list(self._handles)
        if statement.label is not None:
            doomed = [self._labelled(statement.label)]
        for handle in doomed:
            self._target.remove(handle)
            self._handles.remove(handle)

    def _labelled(self, label: str) -> int:
        if label not in self._labels:
            raise StfError(f"no 'add … = {label}' comes before this line")
        return self._labels[label]

    @_execute.register
    def _(self, statement: ast.GroupCreate) -> None:
        self._replication.create_group(statement.group)
        self._target.set_group(statement.group, [])

    @_execute.register
    def _(self, statement: ast.NodeCreate) -> None:
        node = self._replication.create_node(statement.rid, statement.ports)
        self._note(statement, f"multicast node {node}")

    @_execute.register
    def _(self, statement: ast.NodeUpdate) -> None:
        for group in self._replication.update_node(statement.node, statement.ports):
            self._publish(group)

    @_execute.register
    def _(self, statement: ast.NodeAssociate) -> None:
        self._replication.associate(statement.group, statement.node)
        self._publish(statement.group)

    def _publish(self, group: int) -> None:
        """Writes a group and the clone sessions that use it."""
        replicas = self._replication.replicas(group)
        self._target.set_group(group, replicas)
        for session in self._replication.mirrors_of(group):
            self._target.set_mirror(session, replicas)

    @_execute.register
    def _(self, statement: ast.MirroringAdd) -> None:
        self._replication.mirror(statement.session, None)
        self._target.set_mirror(statement.session, [(statement.port, 0)])
        self._sessions.add(statement.session)

    @_execute.register
    def _(self, statement: ast.MirroringAddMc) -> None:
        self._replication.mirror(statement.session, statement.group)
        self._target.set_mirror(statement.session, self._replication.replicas(statement.group))
        self._sessions.add(statement.session)

    @_execute.register
    def _(self, statement: ast.MirroringDelete) -> None:
        self._replication.mirror(statement.session, None)
        self._target.delete_mirror(statement.session)
        self._sessions.discard(statement.session)

    @_execute.register
    def _(self, statement: ast.MirroringGet) -> None:
        state = "exists" if statement.session in self._sessions else "does not exist"
        self._note(statement, f"mirroring session {statement.session} {state}")

    @_execute.register
    def _(self, statement: ast.CheckCounter) -> None:
        if isinstance(statement.index, str):
            count = self._target.read_entry_counter(self._labelled(statement.index))
        else:
            count = self._target.read_counter(statement.name, statement.index)
        value = count.packets if statement.unit == "packets" else count.bytes
        if not _COMPARE[statement.operator](value, statement.value):
            raise StfError(
                f"counter {statement.name}({statement.index}) has {value} {statement.unit}, "
                f"expected {statement.operator} {statement.value}"
            )

    @_execute.register
    def _(self, statement: ast.CounterRead) -> None:
        count = self._target.read_counter(statement.name, statement.index)
        self._note(
            statement,
            f"{statement.name}[{statement.index}] = {count.packets} packets, {count.bytes} bytes",
        )

    @_execute.register
    def _(self, statement: ast.CounterWrite) -> None:
        count = Count(statement.packets, statement.bytes)
        self._target.write_counter(statement.name, statement.index, count)

    @_execute.register
    def _(self, statement: ast.RegisterRead) -> None:
        value = self._target.read_register(statement.name, statement.index)
        self._note(statement, f"{statement.name}[{statement.index}] = {value}")
        if statement.expected not in (None, value):
            raise StfError(
                f"register {statement.name}[{statement.index}] holds {value:#x}, "
                f"expected {statement.expected:#x}"
            )

    @_execute.register
    def _(self, statement: ast.RegisterWrite) -> None:
        self._target.write_register(statement.name, statement.index, statement.value)

    @_execute.register
    def _(self, statement: ast.RegisterReset) -> None:
        self._target.reset_register(statement.name)

    @_execute.register
    def _(self, statement: ast.MeterGet) -> None:
        committed, peak = self._target.read_meter(statement.name, statement.index)
        self._note(statement, f"{statement.name}[{statement.index}] = {committed}, {peak}")

    @_execute.register
    def _(self, statement: ast.MeterSet) -> None:
        self._target.write_meter(
            statement.name, statement.index, statement.committed, statement.peak
        )
