"""Actions: primitives, with conditionals and loops as jumps."""

from __future__ import annotations

from p4native.bmv2.json_writer_context import Context, Json, number
from p4native.bmv2.json_writer_exprs import ExprWriter, check_shifts
from p4native.bmv2.json_writer_externs import ExternWriter
from p4native.frontend.types import VarbitType
from p4native.midend import core


def place(context: Context, header: core.Place, stmt: core.Stmt) -> Json:
    """A header operand."""
    if isinstance(header, core.Header):
        return {"type": "header", "value": header.name}
    context.error("this operation on a stack's run-time element is not supported", stmt.loc)
    return {"type": "header", "value": ""}


def header_operation(context: Context, s: core.Stmt) -> Json | None:
    """The primitive for an operation on whole headers, None if `s` is none."""
    if isinstance(s, core.CopyHeader):
        parameters = [place(context, s.target, s), place(context, s.source, s)]
        return {"op": "assign_header", "parameters": parameters}
    if isinstance(s, core.CopyStack):
        union = isinstance(s.target.elements[0], core.Union)
        kind = "header_union_stack" if union else "header_stack"
        parameters = [{"type": kind, "value": x.name} for x in (s.target, s.source)]
        return {"op": f"assign_{'union' if union else 'header'}_stack", "parameters": parameters}
    if isinstance(s, core.CopyUnion):
        parameters = [{"type": "header_union", "value": x.name} for x in (s.target, s.source)]
        return {"op": "assign_union", "parameters": parameters}
    if isinstance(s, core.SetValid):
        op = "add_header" if s.valid else "remove_header"
        return {"op": op, "parameters": [place(context, s.header, s)]}
    if isinstance(s, core.Shift):
        union = isinstance(s.stack.elements[0], core.Union)
        kind = "header_union_stack" if union else "header_stack"
        stack: Json = {"type": kind, "value": s.stack.name}
        return {"op": s.op, "parameters": [stack, number(s.count)]}
    return None


class ActionWriter:
    """Writes action bodies of one block."""

    def __init__(self, context: Context, exprs: ExprWriter, block: str) -> None:
        self.context = context
        self.exprs = exprs
        self.externs = ExternWriter(context, exprs)
        self.externs.block = block

    def action(self, action: core.Action) -> Json:
        """The JSON of an action with a new id."""
        number_ = self.context.next_id("actions")
        self.context.action_ids[action] = number_
        return {
            "name": action.name,
            "id": number_,
            "runtime_data": [
                {"name": p.name, "bitwidth": core.scalar_width(p.type)} for p in action.params
            ],
            "primitives": _Body(self).write(action.body),
        }


class _Body:
    """The primitives of one action; jump targets are filled in at the end."""

    def __init__(self, writer: ActionWriter) -> None:
        self.writer = writer
        self.context = writer.context
        self.out: list[Json] = []
        self._behind: dict[core.Block | core.Loop, list[Json]] = {}
        self._to_end: list[Json] = []

    def write(self, body: list[core.Stmt]) -> list[Json]:
        """All primitives."""
        self._sequence(body)
        self._land(self._to_end)
        return self.out

    def _sequence(self, body: list[core.Stmt]) -> None:
        for s in body:
            self._statement(s)
            if isinstance(s, (core.Leave, core.Exit)):
                return

    def _add(self, made: Json, s: core.Stmt) -> Json:
        made.update(self.context.source_info(s.loc))
        self.out.append(made)
        return made

    def _jump(self, s: core.Stmt, pending: list[Json]) -> None:
        pending.append(self._add({"op": "_jump", "parameters": []}, s))

    def _land(self, pending: list[Json]) -> None:
        """Let the pending jumps go to what is written next."""
        for jump in pending:
            jump["parameters"].append(number(len(self.out)))

    def _statement(self, s: core.Stmt) -> None:
        if isinstance(s, core.Assign):
            self._assign(s)
        elif isinstance(s, core.Extern):
            made = self.writer.externs.primitive(s)
            if made is not None:
                self.out.append(made)
        elif isinstance(s, core.If):
            self._if(s)
        elif isinstance(s, core.Block):
            self._behind[s] = []
            self._sequence(s.body)
            self._land(self._behind.pop(s))
        elif isinstance(s, core.Loop):
            self._loop(s)
        elif isinstance(s, core.Leave):
            self._jump(s, self._behind[s.target])
        elif isinstance(s, core.Exit):
            self._add({"op": "exit", "parameters": []}, s)
            self._jump(s, self._to_end)
        else:
            made = header_operation(self.context, s)
            if made is None:
                self.context.error("this statement is not supported in an action", s.loc)
            else:
                self._add(made, s)

    def _assign(self, s: core.Assign) -> None:
        check_shifts(self.context, s.value, s)
        exprs = self.writer.exprs
        op = "assign_VL" if isinstance(s.target.type, VarbitType) else "assign"
        self._add({"op": op, "parameters": [exprs.target(s.target), exprs.argument(s.value)]}, s)

    def _if(self, s: core.If) -> None:
        cond: Json = {
            "type": "expression",
            "value": {
                "type": "expression",
                "value": {"op": "b2d", "left": None, "right": self.writer.exprs.operand(s.cond)},
            },
        }
        otherwise = [self._add({"op": "_jump_if_zero", "parameters": [cond]}, s)]
        self._sequence(s.then)
        if s.other:
            end: list[Json] = []
            self._jump(s, end)
            self._land(otherwise)
            self._sequence(s.other)
            self._land(end)
        else:
            self._land(otherwise)

    def _loop(self, s: core.Loop) -> None:
        start = len(self.out)
        self._behind[s] = []
        self._sequence(s.body)
        back = self._add({"op": "_jump", "parameters": []}, s)
        back["parameters"].append(number(start))
        self._land(self._behind.pop(s))
