"""Parsers and value sets."""

from __future__ import annotations

from typing import Any

from p4native.bmv2.json_writer_actions import header_operation
from p4native.bmv2.json_writer_context import Context, Json, hexstr
from p4native.bmv2.json_writer_exprs import ExprWriter, check_shifts
from p4native.bmv2.json_writer_externs import ExternWriter
from p4native.frontend.types import width_bits
from p4native.midend import core


class ParserWriter:
    """Writes the program's parser."""

    def __init__(self, context: Context, exprs: ExprWriter) -> None:
        self.context = context
        self.exprs = exprs
        self.externs = ExternWriter(context, exprs)
        self.externs.block = "parser"

    def write(self, json: Json) -> None:
        """Fill in `parsers` and `parse_vsets`."""
        parser = self.context.program.parser
        json["parsers"].append(
            {
                "name": "parser",
                "id": self.context.next_id("parser"),
                "init_state": parser.states[0].name,
                "parse_states": [self._state(s) for s in parser.states],
            }
        )
        for value_set in parser.value_sets:
            json["parse_vsets"].append(
                {
                    "name": value_set.name,
                    "id": self.context.next_id("parse_vsets"),
                    "compressed_bitwidth": width_bits(value_set.type),
                    "max_size": value_set.size,
                }
            )

    def _state(self, state: core.State) -> Json:
        ops = [self._statement(s) for s in state.body]
        return {
            "name": state.name,
            "id": self.context.next_id("parse_states"),
            "parser_ops": [op for op in ops if op is not None],
            "transitions": [self._transition(state, c) for c in state.cases],
            "transition_key": [self._key(k) for k in state.keys],
        }

    def _key(self, key: core.Expr) -> Json:
        plain = self.exprs.plain(key)
        if plain is not None:
            return plain
        if isinstance(key, core.Lookahead):
            return self.exprs.lookahead(key)
        assert isinstance(key, core.Field)
        return self.exprs.target(key)

    def _transition(self, state: core.State, case: core.Case) -> Json:
        target = case.target.name if case.target is not None else None
        if case.value_set is not None:
            return {
                "type": "parse_vset",
                "value": case.value_set.name,
                "mask": None,
                "next_state": target,
            }
        if all(k.any for k in case.keys):
            return {"type": "default", "value": None, "mask": None, "next_state": target}
        value, mask, exact, bits = 0, 0, True, 0
        for key, e in zip(case.keys, state.keys, strict=True):
            width = core.scalar_width(e.type)
            padded = -(-width // 8) * 8
            bits += padded
            ones = (1 << width) - 1
            one_mask = 0 if key.any else ones if key.mask is None else key.mask
            exact = exact and one_mask == ones
            value = (value << padded) | (key.value & one_mask)
            mask = (mask << padded) | one_mask
        return {
            "type": "hexstr",
            "value": hexstr(value, bits),
            "mask": None if exact else hexstr(mask, bits),
            "next_state": target,
        }

    # --- operations ---

    def _statement(self, s: core.Stmt) -> Json | None:
        if isinstance(s, core.Assign):
            check_shifts(self.context, s.value, s)
            if self.exprs.plain(s.target) is None:
                self.context.error(
                    "a parser can only assign to variables and to fields of headers with a known"
                    " place (no index computed at run time)",
                    s.loc,
                )
                return None
            return {
                "op": "set",
                "parameters": [self.exprs.target(s.target), self.exprs.argument(s.value)],
            }
        if isinstance(s, core.Extern):
            return self._extern(s)
        made = header_operation(self.context, s)
        if made is None:
            self.context.error("this statement is not supported in a parser", s.loc)
            return None
        return {"op": "primitive", "parameters": [made]}

    def _extern(self, s: core.Extern) -> Json | None:
        if s.op == "extract":
            return self._extract(s)
        if s.op == "advance":
            return {"op": "advance", "parameters": [self.exprs.argument(s.args[0])]}
        if s.op == "verify":
            parameters = [self.exprs.operand(s.args[0]), self.exprs.operand(s.args[1])]
            return {"op": "verify", "parameters": parameters}
        if s.op in ("assert", "assume", "log_msg"):
            made = self.externs.primitive(s)
            return None if made is None else {"op": "primitive", "parameters": [made]}
        self.context.error(f"{s.op} is not supported in a parser on this target", s.loc)
        return None

    def _extract(self, s: core.Extern) -> Json:
        kind, value = self._destination(s.args[0], s)
        parameters: list[Any] = [{"type": kind, "value": value}]
        if len(s.args) == 1:
            return {"op": "extract", "parameters": parameters}
        parameters.append({"type": "expression", "value": self.exprs.operand(s.args[1])})
        return {"op": "extract_VL", "parameters": parameters}

    def _destination(self, place: core.Place, s: core.Stmt) -> tuple[str, Any]:
        if isinstance(place, core.Header):
            return "regular", place.name
        if isinstance(place, core.StackEnd) and place.which == "next":
            return "stack", place.stack.name
        if isinstance(place, core.UnionMember) and place.element.which == "next":
            return "union_stack", [place.element.stack.name, place.name]
        self.context.error("extract goes to a header or a stack's next element", s.loc)
        return "regular", ""
