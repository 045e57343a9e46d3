"""What a program may read and change of a frame: decides when offloads must be completed first.

Headers are recognised by layout and, where several layouts could be meant, assumed to be the
dangerous one: a wrong guess costs speed, never correctness.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from p4native.bmv2 import model as m
from p4native.codegen.context import Context

_LENGTH_PRIMITIVES = frozenset(
    ["add_header", "add_header_fast", "remove_header", "push", "pop", "truncate", "assign_header",
     "copy_header", "assign_header_stack", "assign_union", "assign_union_stack", "assign_VL"]
)  # fmt: skip


_VALIDITY = frozenset(["add_header", "add_header_fast", "remove_header", "push", "pop"])


def effects(context: Context) -> list[str]:
    """Names of the `enum p4n_effect` bits that apply, in the enum's order."""
    finder = _Finder(context)
    found = finder.find()
    order = (
        "P4N_READS_PAYLOAD",
        "P4N_READS_L4_CSUM",
        "P4N_WRITES_L4_CSUM",
        "P4N_WRITES_L3",
        "P4N_WRITES_L4",
        "P4N_CHANGES_LENGTH",
        "P4N_READS_LENGTH",
        "P4N_WRITES_LENGTH",
        "P4N_READS_IP_ID",
    )
    return [name for name in order if name in found]


def role_of(htype: m.HeaderType) -> str:
    """ "ipv4", "ipv6", "tcp", "udp" or "" by the header's size and field layout."""
    bits = htype.fixed_bits
    edges, at = set(), 0
    for field in htype.fields:
        edges.add((at, field.width))
        at += field.width
    if bits >= 160 and {(72, 8), (80, 16), (96, 32), (128, 32)} <= edges:
        return "ipv4"
    if bits == 320 and (64, 128) in edges and (192, 128) in edges:
        return "ipv6"
    if bits >= 160 and {(0, 16), (16, 16), (32, 32), (64, 32), (128, 16)} <= edges:
        return "tcp"
    if bits == 64 and {(0, 16), (16, 16), (32, 16), (48, 16)} <= edges:
        return "udp"
    return ""


# (role, bit offset) of the fields that offloads leave open.
_CSUM = {("tcp", 128), ("udp", 48)}
_LENGTHS = {("ipv4", 16), ("ipv6", 32), ("udp", 32)}
_IP_ID = {("ipv4", 32)}


class _Finder:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.program = context.program
        self.found: set[str] = set()

    def find(self) -> set[str]:
        program, primitives = self.program, self.context.primitives
        if primitives & _LENGTH_PRIMITIVES or self._advances():
            self.found.add("P4N_CHANGES_LENGTH")
        for action in program.actions:
            if action.id in self.context.live_actions:
                for call in action.calls:
                    self._call(call)
        for parser in program.parsers:
            for state in parser.states:
                for op in state.ops:
                    self._parser_op(op)
                self._reads(state.key)
        for pipeline in program.pipelines:
            self._reads([k.target for t in pipeline.tables for k in t.keys])
            self._reads([c.expression for c in pipeline.conditionals])
        self._reads([f.elements for f in (*program.learn_lists, *program.field_lists)])
        self._reads([p.selector for p in program.profiles])
        self._checksums()
        self._packet_length()
        self._behind_tcp()
        return self.found

    def _behind_tcp(self) -> None:
        """Fields that lie in a TCP payload exist once per segment, not once per super-frame."""
        for parser in self.program.parsers:
            by_name = {s.name: s for s in parser.states}
            behind: set[str] = set()
            todo: list[str | None] = []
            for state in parser.states:
                roles = [_extracted_role(op) for op in state.ops]
                if "tcp" not in roles:
                    continue
                behind.update(_extracted(state.ops[roles.index("tcp") + 1 :]))
                todo.extend(t.next_state for t in state.transitions)
            seen: set[str] = set()
            while todo:
                name = todo.pop()
                if name is None or name in seen:
                    continue
                seen.add(name)
                behind.update(_extracted(by_name[name].ops))
                todo.extend(t.next_state for t in by_name[name].transitions)
            if any(header in behind for header, _ in self.context.used):
                self.found.add("P4N_READS_PAYLOAD")

    def _advances(self) -> bool:
        return any(
            op.op == "advance" for p in self.program.parsers for s in p.states for op in s.ops
        )

    def _packet_length(self) -> None:
        ref = self.context.arch_field("standard_metadata.packet_length")
        if ref is not None and self.context.is_used(ref):
            self.found.add("P4N_READS_LENGTH")

    def _checksums(self) -> None:
        checked = {c.calculation for c in self.program.checksums}
        hashed = {
            arg.name
            for a in self.program.actions
            for call in a.calls
            for arg in call.args
            if isinstance(arg, m.NameRef) and arg.kind == "calculation"
        }
        for calc in self.program.calculations:
            if any(i.kind == "payload" for i in calc.inputs) and calc.name in checked | hashed:
                self.found.add("P4N_READS_PAYLOAD")
            if calc.name in hashed:
                self._reads(calc.inputs)
        for checksum in self.program.checksums:
            if checksum.update:
                self._write_field(checksum.target.header.type, checksum.target.field)
            if checksum.verify:
                self._reads(checksum.target)
            self._reads(checksum.condition)

    def _parser_op(self, op: m.ParserOp) -> None:
        if op.call is not None:
            self._call(op.call)
        elif op.op == "set":
            self._write(op.args[0])
            self._reads(op.args[1:])
        elif op.op != "extract":
            self._reads(op.args)

    def _call(self, call: m.Call) -> None:
        if call.op in _VALIDITY:
            return
        target = 0
        if call.op in ("register_write", "count"):
            target = -1
        elif call.op == "execute_meter":
            target = 2
        for i, arg in enumerate(call.args):
            if i == target:
                self._write(arg)
            else:
                self._reads(arg)

    def _write(self, target: m.Expr) -> None:
        htype, field = _field_of(target)
        if htype is not None and field is not None:
            self._write_field(htype, field)
        if isinstance(target, m.HeaderRef):
            for each in target.header.type.fields:
                self._write_field(target.header.type, each)

    def _write_field(self, htype: m.HeaderType, field: m.Field) -> None:
        role, key = self._key(htype, field)
        if role in ("ipv4", "ipv6"):
            self.found.add("P4N_WRITES_L3")
        if role in ("tcp", "udp"):
            self.found.add("P4N_WRITES_L4")
        if key in _CSUM:
            self.found.add("P4N_WRITES_L4_CSUM")
        if key in _LENGTHS:
            self.found.add("P4N_WRITES_LENGTH")

    def _reads(self, part: Any) -> None:
        for htype, field in _fields_in(part):
            _, key = self._key(htype, field)
            if key in _CSUM:
                self.found.add("P4N_READS_L4_CSUM")
            if key in _LENGTHS:
                self.found.add("P4N_READS_LENGTH")
            if key in _IP_ID:
                self.found.add("P4N_READS_IP_ID")

    @staticmethod
    def _key(htype: m.HeaderType, field: m.Field) -> tuple[str, tuple[str, int]]:
        role, at = role_of(htype), 0
        for other in htype.fields:
            if other.name == field.name:
                break
            at += other.width
        return role, (role, at)


def _targets(op: m.ParserOp) -> tuple[m.Header, ...]:
    """The headers that an operation may extract."""
    if op.op not in ("extract", "extract_VL"):
        return ()
    match op.args[0]:
        case m.HeaderRef(header=header):
            return (header,)
        case m.StackRef(stack=stack):
            return stack.headers
        case m.UnionStackRef(stack=unions):
            return tuple(u.headers[op.member] for u in unions.unions)
    return ()


def _extracted_role(op: m.ParserOp) -> str:
    return next((role_of(h.type) for h in _targets(op)), "")


def _extracted(ops: tuple[m.ParserOp, ...]) -> set[str]:
    return {h.name for op in ops for h in _targets(op)}


def _field_of(e: m.Expr) -> tuple[m.HeaderType | None, m.Field | None]:
    match e:
        case m.FieldRef():
            return (None, None) if e.header.metadata else (e.header.type, e.field)
        case m.StackField():
            return e.stack.type, e.field
        case m.UnionStackField():
            return e.stack.unions[0].headers[e.member].type, e.field
        case m.Op(op="access_field", left=m.Op(left=m.StackRef(stack=stack)), index=index):
            fields = stack.type.fields
            return (stack.type, fields[index]) if index < len(fields) else (None, None)
    return None, None


def _fields_in(part: Any) -> Iterator[tuple[m.HeaderType, m.Field]]:
    htype, field = _field_of(part) if isinstance(part, m.Expr) else (None, None)
    if htype is not None and field is not None:
        yield htype, field
    elif isinstance(part, m.HeaderRef):
        if not part.header.metadata:
            for each in part.header.type.fields:
                yield part.header.type, each
    elif isinstance(part, tuple | list):
        for item in part:
            yield from _fields_in(item)
    elif isinstance(part, m.Op | m.Vector | m.RegisterRef | m.CalcInput | m.Selector):
        for name in part.__slots__:
            yield from _fields_in(getattr(part, name))
