"""Expressions in BMv2 JSON.

BMv2 computes with unlimited integers, so each operation that can leave its type's range is cut
back: `& mask` for bit<W>, `two_comp_mod` for int<W>. Bools are stored as one-bit numbers: `d2b`
and `b2d` convert.
"""

from __future__ import annotations

from p4native.bmv2.json_writer_context import Context, Json, hexstr, number
from p4native.frontend.types import BitsType, BoolType, ErrorType
from p4native.midend import core
from p4native.midend.fold import COMPARISONS

MAX_SHIFT_WIDTH = 8
_LOGICAL = {"&&": "and", "||": "or"}
_IN_RANGE = frozenset({"&", "|", "^"})


class ExprWriter:
    """Writes expressions; errors go to the context with the statement's location."""

    def __init__(self, context: Context) -> None:
        self.context = context

    # --- operands of primitives and other places outside of expressions ---

    def argument(self, e: core.Expr) -> Json:
        """A value given to a primitive: plain where possible, else a wrapped expression."""
        if isinstance(e, core.Const):
            return number(e.value, core.scalar_width(e.type))
        plain = self.plain(e)
        if plain is not None:
            return plain
        if isinstance(e, core.Lookahead):
            return self.lookahead(e)
        value = self.operand(e)
        if isinstance(e.type, BoolType):
            value = _operation("b2d", None, value)
        return {"type": "expression", "value": value}

    def plain(self, e: core.Expr) -> Json | None:
        """A field, variable or action parameter as such, bools unconverted; else None."""
        if isinstance(e, core.VarRef):
            if e.var.kind == "param":
                return {"type": "runtime_data", "value": e.var.index}
            return self._variable(e.var)
        if isinstance(e, core.Field) and isinstance(e.header, core.Header):
            return {"type": "field", "value": [e.header.name, e.name]}
        return None

    def target(self, e: core.Expr) -> Json:
        """An lvalue."""
        found = self.plain(e)
        if found is not None:
            return found
        assert isinstance(e, core.Field)
        value = self._field(e)
        return {"type": "expression", "value": value} if value["type"] == "expression" else value

    def condition(self, e: core.Expr) -> Json:
        """A bool for a conditional or `if_cond`."""
        return self.operand(e)

    def lookahead(self, e: core.Lookahead) -> Json:
        """A lookahead operand."""
        return {"type": "lookahead", "value": [e.offset, e.width]}

    @staticmethod
    def _variable(var: core.Var) -> Json:
        assert var.home is not None, var.name
        return {"type": "field", "value": list(var.home)}

    # --- operands inside of expressions ---

    def operand(self, e: core.Expr) -> Json:
        """Any expression as part of another one."""
        if isinstance(e, core.Const):
            return self._constant(e)
        if isinstance(e, core.VarRef):
            return self._read_variable(e)
        if isinstance(e, core.Field):
            value = self._field(e)
            return _operation("d2b", None, value) if isinstance(e.type, BoolType) else value
        if isinstance(e, core.Valid):
            assert isinstance(e.header, core.Header)
            field: Json = {"type": "field", "value": [e.header.name, "$valid$"]}
            return _operation("d2b", None, field)
        if isinstance(e, core.UnionValid):
            assert isinstance(e.union, core.Union)
            return _operation("valid_union", None, {"type": "header_union", "value": e.union.name})
        if isinstance(e, core.LastIndex):
            stack: Json = {"type": "header_stack", "value": e.stack.name}
            return _operation("last_stack_index", None, stack)
        if isinstance(e, core.Lookahead):
            return self.lookahead(e)
        return self._computed(e)

    def _computed(self, e: core.Expr) -> Json:
        if isinstance(e, core.Unary):
            return self._unary(e)
        if isinstance(e, core.Binary):
            return self._binary(e)
        if isinstance(e, core.Mux):
            value = {
                "op": "?",
                "left": self.operand(e.then),
                "right": self.operand(e.other),
                "cond": self.operand(e.cond),
            }
            return {"type": "expression", "value": value}
        if isinstance(e, core.Cast):
            return self._cast(e)
        assert isinstance(e, core.Slice)
        return self._slice(e)

    def _constant(self, e: core.Const) -> Json:
        if isinstance(e.type, BoolType):
            return {"type": "bool", "value": bool(e.value)}
        width = e.type.width if isinstance(e.type, BitsType) else 0
        return number(e.value, width)

    def _read_variable(self, e: core.VarRef) -> Json:
        if e.var.kind == "param":
            return {"type": "local", "value": e.var.index}
        value = self._variable(e.var)
        return _operation("d2b", None, value) if isinstance(e.type, BoolType) else value

    def _field(self, e: core.Field) -> Json:
        place = e.header
        if isinstance(place, core.Header):
            return {"type": "field", "value": [place.name, e.name]}
        if isinstance(place, core.StackEnd):
            return {"type": "stack_field", "value": [place.stack.name, e.name]}
        if isinstance(place, core.UnionMember):
            stack = place.element.stack
            return {"type": "union_stack_field", "value": [stack.name, place.name, e.name]}
        stack_json: Json = {"type": "header_stack", "value": place.stack.name}
        header = _operation("dereference_header_stack", stack_json, self.operand(place.index))
        index = list(core.place_type(place).fields).index(e.name)
        value = {"op": "access_field", "left": header, "right": index}
        return {"type": "expression", "value": value}

    # --- operations ---

    def _unary(self, e: core.Unary) -> Json:
        arg = self.operand(e.arg)
        if e.op == "!":
            return _operation("not", None, arg)
        assert isinstance(e.type, BitsType)
        if e.op == "-":
            return _cut(_operation("-", number(0, e.type.width), arg), e.type)
        return _cut(_operation("~", None, arg), e.type)

    def _binary(self, e: core.Binary) -> Json:
        left, right = self.operand(e.left), self.operand(e.right)
        if e.op in COMPARISONS or e.op in _LOGICAL:
            return _operation(_LOGICAL.get(e.op, e.op), left, right)
        assert isinstance(e.type, BitsType)
        if e.op == "++":
            return self._concat(e, left, right)
        if e.op in ("|+|", "|-|"):
            total = _operation(e.op[1], left, right)
            op = "sat_cast" if e.type.signed else "usat_cast"
            return _operation(op, total, number(e.type.width))
        value = _operation(e.op, left, right)
        if e.op in _IN_RANGE or (e.op == ">>" and not e.type.signed):
            return value
        return _cut(value, e.type)

    @staticmethod
    def _concat(e: core.Binary, left: Json, right: Json) -> Json:
        assert isinstance(e.type, BitsType)
        low = core.scalar_width(e.right.type)
        shifted = _cut(_operation("<<", left, number(low)), e.type)
        if isinstance(e.right.type, BitsType) and e.right.type.signed:
            mask = number((1 << low) - 1, low)
            right = _operation("&", right, mask)
        return _operation("|", shifted, right)

    def _cast(self, e: core.Cast) -> Json:
        arg = self.operand(e.arg)
        source, to = e.arg.type, e.type
        if isinstance(to, BoolType):
            return _operation("!=", arg, number(0, core.scalar_width(source)))
        if isinstance(source, BoolType):
            assert isinstance(to, BitsType)
            value = {
                "op": "?",
                "left": number(1, to.width),
                "right": number(0, to.width),
                "cond": arg,
            }
            return {"type": "expression", "value": value}
        if isinstance(source, ErrorType) or not isinstance(to, BitsType):
            return arg
        assert isinstance(source, BitsType)
        fits = to.width > source.width if to.signed != source.signed else to.width >= source.width
        if fits and not (source.signed and not to.signed):
            return arg
        return _cut(arg, to)

    def _slice(self, e: core.Slice) -> Json:
        arg = self.operand(e.arg)
        if e.lo:
            arg = _operation(">>", arg, number(e.lo))
        whole = core.scalar_width(e.arg.type)
        signed = isinstance(e.arg.type, BitsType) and e.arg.type.signed
        if e.hi == whole - 1 and not signed:
            return arg
        assert isinstance(e.type, BitsType)
        return _cut(arg, e.type)


def _operation(op: str, left: Json | None, right: Json) -> Json:
    return {"type": "expression", "value": {"op": op, "left": left, "right": right}}


def _cut(value: Json, type: BitsType) -> Json:
    """`value` reduced to the range of `type`."""
    if type.signed:
        return _operation("two_comp_mod", value, number(type.width))
    return _operation("&", value, {"type": "hexstr", "value": hexstr((1 << type.width) - 1)})


def check_shifts(context: Context, e: core.Expr, stmt: core.Stmt) -> None:
    """Report shift amounts wider than the target takes."""
    from p4native.midend.access import subexpressions

    for part in subexpressions(e):
        if isinstance(part, core.Binary) and part.op in ("<<", ">>"):
            amount = part.right
            if isinstance(amount, core.Const):
                continue
            if core.scalar_width(amount.type) > MAX_SHIFT_WIDTH:
                context.error(
                    f"shift amount limited to {MAX_SHIFT_WIDTH} bits on this target",
                    stmt.loc,
                    "overlimit",
                )
