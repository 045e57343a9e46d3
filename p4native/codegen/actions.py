"""Actions: one C function each, made of primitive calls."""

from __future__ import annotations

from p4native.bmv2 import model as m
from p4native.codegen.context import Context
from p4native.codegen.emitter import Emitter
from p4native.codegen.expr import ExprGen
from p4native.codegen.layout import param_offsets
from p4native.codegen.names import identifier
from p4native.codegen.primitives import PrimitiveGen

# A loop of an action ends after so many rounds; BMv2 would hang.
MAX_LOOPS = 1 << 16


class ActionGen:
    """Generates the action functions of a program."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def emit(self, out: Emitter) -> None:
        """Every action that a table or a direct call can run."""
        for action in self.context.program.actions:
            if action.id in self.context.live_actions:
                self._action(out, action)

    def name(self, action_id: int) -> str:
        """The C function of an action."""
        return action_name(self.context.program.action(action_id))

    def _action(self, out: Emitter, action: m.Action) -> None:
        with out.function(
            f"P4N_FN void {action_name(action)}(struct p4n_phv *p, const uint8_t *data)"
        ):
            out.line("(void)p;")
            out.line("(void)data;")
            offsets = param_offsets(action)
            params = [
                (f"(data + {at})" if at else "data", param.width)
                for at, param in zip(offsets, action.params, strict=True)
            ]
            exprs = ExprGen(
                self.context.layout, out, self.context.registers, params, f"action {action.name}"
            )
            locks = sorted(self._registers(action))
            for number in locks:
                out.line(f"p4n_register_lock(p->th, p->th->registers[{number}]);")
            self._calls(out, action, exprs)
            for number in locks:
                out.line(f"p4n_register_unlock(p->th, p->th->registers[{number}]);")

    def _calls(self, out: Emitter, action: m.Action, exprs: ExprGen) -> None:
        targets, loops = jump_targets(action.calls, exprs)
        if loops:
            out.line("uint32_t loops = 0;")
            out.line()
        gen = PrimitiveGen(self.context, exprs)
        for i, call in enumerate(action.calls):
            if i in targets:
                out.label(f"at_{i}")
            if call.op in ("_jump", "_jump_if_zero"):
                _jump(out, call, exprs, i, len(action.calls))
                continue
            with out.block(""):
                gen.call(call)
        if len(action.calls) in targets:
            out.label(f"at_{len(action.calls)}")

    def _registers(self, action: m.Action) -> set[int]:
        found: set[int] = set()
        for call in action.calls:
            for arg in call.args:
                found |= self._registers_in(arg)
        return found

    def _registers_in(self, e: m.Expr | None) -> set[int]:
        registers = self.context.registers
        match e:
            case m.NameRef(kind="register_array", name=name):
                return {registers[name]}
            case m.RegisterRef():
                return {registers[e.register.name]} | self._registers_in(e.index)
            case m.Op():
                return (
                    self._registers_in(e.left)
                    | self._registers_in(e.right)
                    | self._registers_in(e.cond)
                )
        return set()


def action_name(action: m.Action) -> str:
    """The C function of an action: its id makes it unique."""
    return f"action_{action.id}_{identifier(action.name)}"


def jump_targets(calls: tuple[m.Call, ...], exprs: ExprGen) -> tuple[set[int], bool]:
    """Positions that _jump and _jump_if_zero go to, and whether one of them goes back."""
    targets: set[int] = set()
    loops = False
    for i, call in enumerate(calls):
        if call.op not in ("_jump", "_jump_if_zero"):
            continue
        offset = call.args[-1]
        if not isinstance(offset, m.Const) or not 0 <= offset.value <= len(calls):
            raise exprs.fail(f"primitive {i} jumps out of the action")
        targets.add(offset.value)
        if offset.value <= i:
            loops = True
            targets.add(len(calls))
    return targets, loops


def _jump(out: Emitter, call: m.Call, exprs: ExprGen, at: int, end: int) -> None:
    """A jump; one that goes back counts, so that every action ends."""
    offset = call.args[-1]
    assert isinstance(offset, m.Const)
    back = offset.value <= at
    with out.block(""):
        if call.op == "_jump_if_zero":
            with out.block(f"if (!{exprs.boolean(call.args[0])})"):
                _goto(out, offset.value, end, back)
        else:
            _goto(out, offset.value, end, back)


def _goto(out: Emitter, target: int, end: int, back: bool) -> None:
    if back:
        with out.block(f"if (++loops > {MAX_LOOPS})"):
            out.line(f"goto at_{end};")
    out.line(f"goto at_{target};")
