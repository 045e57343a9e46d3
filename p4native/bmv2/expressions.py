"""JSON type-value objects to `model.Expr`, with every name resolved."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeVar

from p4native.bmv2 import model as m
from p4native.bmv2.node import BmvJsonError, Node

_T = TypeVar("_T")

VALID_FIELD = m.Field("$valid$", 1)

_BINARY = frozenset(
    ["+", "-", "*", "/", "%", "<<", ">>", "==", "!=", ">", ">=", "<", "<=", "and", "or", "&", "|",
     "^", "two_comp_mod", "sat_cast", "usat_cast"]
)  # fmt: skip
_UNARY = frozenset(["not", "~", "d2b", "b2d", "valid", "last_stack_index", "size_stack", "+", "-"])
# Parameters of each primitive; unknown primitives are refused where code is generated.
ARITY = {
    "assign": 2, "assign_VL": 2, "modify_field": 2, "add_to_field": 2, "subtract_from_field": 2,
    "add": 3, "subtract": 3, "bit_xor": 3, "bit_or": 3, "bit_and": 3, "shift_left": 3,
    "shift_right": 3, "add_header": 1, "add_header_fast": 1, "remove_header": 1, "copy_header": 2,
    "assign_header": 2, "assign_union": 2, "assign_header_stack": 2, "assign_union_stack": 2,
    "push": 2, "pop": 2, "drop": 0, "mark_to_drop": 1, "generate_digest": 2,
    "clone_ingress_pkt_to_egress": 2, "clone_egress_pkt_to_egress": 2, "resubmit": 1,
    "recirculate": 1, "modify_field_with_hash_based_offset": 4, "modify_field_rng_uniform": 3,
    "execute_meter": 3, "count": 2, "register_read": 3, "register_write": 3, "truncate": 1,
    "exit": 0, "no_op": 0, "log_msg": 2, "assert": 1, "assume": 1, "_jump": 1, "_jump_if_zero": 2,
}  # fmt: skip
_NAMED = {
    "calculation": "calculations",
    "meter_array": "meter_arrays",
    "counter_array": "counter_arrays",
    "register_array": "registers",
    "extern": "extern_instances",
}


class Names:
    """The objects declared so far, by name and by id."""

    def __init__(self) -> None:
        self.types: dict[str, m.HeaderType] = {}
        self.headers: dict[str, m.Header] = {}
        self.stacks: dict[str, m.Stack] = {}
        self.unions: dict[str, m.Union] = {}
        self.union_stacks: dict[str, m.UnionStack] = {}
        self.registers: dict[str, m.Register] = {}
        self.objects: dict[str, set[str]] = defaultdict(set)
        self._headers_by_id: dict[int, m.Header] = {}
        self._unions_by_id: dict[int, m.Union] = {}

    def add_type(self, node: Node, htype: m.HeaderType) -> None:
        """Declares a header type."""
        _add(node, self.types, htype.name, htype)

    def add_header(self, node: Node, header: m.Header) -> None:
        """Declares a header instance."""
        _add(node, self.headers, header.name, header)
        if header.id in self._headers_by_id:
            raise node["id"].error(f"header id {header.id} is used twice")
        self._headers_by_id[header.id] = header

    def add_stack(self, node: Node, stack: m.Stack) -> None:
        """Declares a header stack."""
        _add(node, self.stacks, stack.name, stack)

    def add_union(self, node: Node, union: m.Union) -> None:
        """Declares a header union."""
        _add(node, self.unions, union.name, union)
        self._unions_by_id[union.id] = union

    def add_union_stack(self, node: Node, stack: m.UnionStack) -> None:
        """Declares a stack of unions."""
        _add(node, self.union_stacks, stack.name, stack)

    def add_register(self, node: Node, register: m.Register) -> None:
        """Declares a register array."""
        _add(node, self.registers, register.name, register)
        self.objects["registers"].add(register.name)

    def type(self, node: Node) -> m.HeaderType:
        """The header type that this string names."""
        return _find(node, self.types, "header type")

    def header(self, node: Node) -> m.Header:
        """The header instance that this string names."""
        return _find(node, self.headers, "header")

    def stack(self, node: Node) -> m.Stack:
        """The header stack that this string names."""
        return _find(node, self.stacks, "header stack")

    def union(self, node: Node) -> m.Union:
        """The header union that this string names."""
        return _find(node, self.unions, "header union")

    def union_stack(self, node: Node) -> m.UnionStack:
        """The union stack that this string names."""
        return _find(node, self.union_stacks, "header union stack")

    def register(self, node: Node) -> m.Register:
        """The register array that this string names."""
        return _find(node, self.registers, "register array")

    def header_by_id(self, node: Node) -> m.Header:
        """The header instance with this id."""
        header = self._headers_by_id.get(node.int())
        if header is None:
            raise node.error(f"unknown header id {node.int()}")
        return header

    def packet_header_by_id(self, node: Node) -> m.Header:
        """The header instance with this id, which must not be metadata."""
        header = self.header_by_id(node)
        if header.metadata:
            raise node.error(f"'{header.name}' is metadata, expected a header")
        return header

    def union_by_id(self, node: Node) -> m.Union:
        """The header union with this id."""
        union = self._unions_by_id.get(node.int())
        if union is None:
            raise node.error(f"unknown header union id {node.int()}")
        return union

    def object(self, node: Node, kind: str) -> str:
        """The name of a declared object of that JSON section."""
        name = node.str()
        if name not in self.objects[kind]:
            raise node.error(f"'{name}' is not declared in {kind}")
        return name


def _add(node: Node, table: dict[str, _T], name: str, value: _T) -> None:
    if name in table:
        raise node["name"].error(f"'{name}' is declared twice")
    table[name] = value


def _find(node: Node, table: dict[str, _T], what: str) -> _T:
    name = node.str()
    if name not in table:
        raise node.error(f"unknown {what} '{name}'")
    return table[name]


def field_of(node: Node, htype: m.HeaderType) -> m.Field:
    """The field of `htype` that this string names, `$valid$` included."""
    name = node.str()
    if name == VALID_FIELD.name:
        return VALID_FIELD
    found = htype.field(name)
    if found is None:
        raise node.error(f"header type '{htype.name}' has no field '{name}'")
    return found


class ExpressionReader:
    """Reads expressions and primitive arguments."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def field(self, pair: Node) -> m.FieldRef:
        """A [header, field] pair."""
        header = self.names.header(pair.index(0))
        return m.FieldRef(header, field_of(pair.index(1), header.type))

    def call(self, node: Node, params: int) -> m.Call:
        """A primitive call inside an action of `params` runtime parameters."""
        args = tuple(self.argument(a, params) for a in node["parameters"])
        expected = ARITY.get(node["op"].str(), len(args))
        if len(args) != expected:
            raise node["parameters"].error(
                f"{len(args)} parameters for '{node['op'].str()}', expected {expected}"
            )
        info = node.get("source_info")
        fragment = info.get("source_fragment") if info is not None else None
        return m.Call(node["op"].str(), args, "" if fragment is None else str(fragment.value))

    def argument(self, node: Node, params: int = 0) -> m.Expr:
        """Any argument of a primitive, parser operation or field list."""
        kind = node["type"].str()
        value = node["value"]
        if kind == "runtime_data":
            index = value.uint()
            if index >= params:
                raise value.error(f"parameter {index} of an action with {params} parameters")
            return m.Local(index)
        if kind == "string":
            return m.StringConst(value.str())
        if kind == "parameters_vector":
            if value.value == {}:  # how p4c writes an empty one
                return m.Vector(())
            return m.Vector(tuple(self.argument(a, params) for a in value))
        if kind in _NAMED:
            return m.NameRef(kind, self.names.object(value, _NAMED[kind]))
        if kind == "expression" and isinstance(value.value, dict) and "type" in value.value:
            return self.expression(value)
        return self.expression(node)

    def extract_target(self, node: Node) -> tuple[m.Expr, int]:
        """What an extract fills, and the union member for a union stack."""
        kind = node["type"].choice("regular", "stack", "union_stack")
        value = node["value"]
        if kind == "regular":
            header = self.names.header(value)
            if header.metadata:
                raise value.error(f"'{header.name}' is metadata, expected a header")
            return m.HeaderRef(header), 0
        if kind == "stack":
            return m.StackRef(self.names.stack(value)), 0
        stack = self.names.union_stack(value.index(0))
        return m.UnionStackRef(stack), self._member(value.index(1), stack)

    def calc_input(self, node: Node) -> m.CalcInput:
        """One input of a calculation or selector."""
        kind = node["type"].choice("field", "hexstr", "header", "payload")
        if kind == "payload":
            return m.CalcInput(kind)
        if kind == "hexstr":
            return m.CalcInput(kind, m.Const(node["value"].hex()), node["bitwidth"].width())
        return m.CalcInput(kind, self.expression(node))

    def expression(self, node: Node) -> m.Expr:
        """A typed expression."""
        kind = node["type"].str()
        if kind == "expression":
            return self._operation(node["value"])
        if kind == "local":
            return m.Local(node["value"].uint())
        return self._leaf(kind, node["value"], node)

    def _leaf(self, kind: str, value: Node, node: Node) -> m.Expr:
        names = self.names
        match kind:
            case "field":
                return self._any_field(value)
            case "hexstr":
                return m.Const(value.hex())
            case "bool":
                return m.BoolConst(value.bool())
            case "header":
                return m.HeaderRef(names.header(value))
            case "header_stack":
                return m.StackRef(names.stack(value))
            case "header_union":
                return m.UnionRef(names.union(value))
            case "header_union_stack":
                return m.UnionStackRef(names.union_stack(value))
            case "stack_field":
                return self._stack_field(value)
            case "union_stack_field":
                return self._union_stack_field(value)
            case "lookahead":
                return m.LookAhead(value.index(0).uint(), value.index(1).width())
            case "register":
                return m.RegisterRef(
                    names.register(value.index(0)), self.expression(value.index(1))
                )
        raise node["type"].error(f"unknown value type '{kind}'")

    def _union(self, node: Node) -> m.Expr:
        """A union; p4c calls one that is an element of a stack a header."""
        if node["type"].value == "header":
            return m.UnionRef(self.names.union(node["value"]))
        return self.expression(node)

    def _any_field(self, value: Node) -> m.Expr:
        """A field of a named header, or of one that an expression picks from a stack."""
        if not isinstance(value.index(0).value, dict):
            return self.field(value)
        header = self._operation(value.index(0))
        htype = m.header_type_of(header)
        if htype is None:
            raise value.index(0).error("expected an expression that denotes a header")
        field = field_of(value.index(1), htype)
        number = htype.fields.index(field) if field in htype.fields else len(htype.fields)
        return m.Op("access_field", header, None, index=number)

    def _stack_field(self, value: Node) -> m.Expr:
        stack = self.names.stack(value.index(0))
        if value.index(1).value == "last" and stack.type.field("last") is None:
            whole = m.StackRef(stack)
            last = m.Op("last_stack_index", None, whole)
            return m.Op("dereference_header_stack", whole, last)
        return m.StackField(stack, field_of(value.index(1), stack.type))

    def _union_stack_field(self, value: Node) -> m.UnionStackField:
        stack = self.names.union_stack(value.index(0))
        member = self._member(value.index(1), stack)
        htype = stack.unions[0].headers[member].type
        return m.UnionStackField(stack, member, field_of(value.index(2), htype))

    def _member(self, node: Node, stack: m.UnionStack) -> int:
        if node.str() not in stack.members:
            raise node.error(f"union type '{stack.type_name}' has no member '{node.str()}'")
        return stack.members.index(node.str())

    def _operation(self, node: Node) -> m.Expr:
        if node.has("type"):
            return self.expression(node)
        op = node["op"].str()
        if op in ("access_field", "access_union_header"):
            return m.Op(op, self.expression(node["left"]), None, index=node["right"].uint())
        if op in ("dereference_header_stack", "dereference_union_stack", "?"):
            cond = self.expression(node["cond"]) if op == "?" else None
            return m.Op(op, self.expression(node["left"]), self.expression(node["right"]), cond)
        if op == "valid_union":
            return m.Op(op, None, self._union(node["right"]))
        left = node.get("left")
        right = self.expression(node["right"])
        if left is None and op in _UNARY:
            return m.Op(op, None, right)
        if left is not None and op in _BINARY:
            return m.Op(op, self.expression(left), right)
        raise node["op"].error(f"operator '{op}' is unknown or has the wrong number of operands")


__all__ = ["VALID_FIELD", "BmvJsonError", "ExpressionReader", "Names", "field_of"]
