"""The parser: one label per state, a length check before every access."""

from __future__ import annotations

from itertools import groupby

from p4native.bmv2 import model as m
from p4native.codegen.bits import WordGen, slots_of, word_constants
from p4native.codegen.context import Context
from p4native.codegen.emitter import Emitter
from p4native.codegen.expr import ExprGen
from p4native.codegen.names import c_string, identifier, u64
from p4native.codegen.primitives import PrimitiveGen
from p4native.codegen.store import StoreGen

_CORE_ERRORS = (
    "NoError",
    "PacketTooShort",
    "NoMatch",
    "StackOutOfBounds",
    "HeaderTooShort",
    "ParserTimeout",
    "ParserInvalidArgument",
)
# A loop that consumes nothing still ends; one that consumes ends with the frame.
MAX_STEPS = 1 << 16
_MOST_TESTS = 16  # of a select, with one target, as code


def error_codes(program: m.Program) -> dict[str, int]:
    """Values of the core errors: the program's, or the next free ones as BMv2 assigns them."""
    codes = dict(program.errors)
    free = max(codes.values(), default=-1) + 1
    for name in _CORE_ERRORS:
        if name not in codes:
            codes[name], free = free, free + 1
    return codes


class ParserGen:
    """Generates `p4n_parse(p)`: fills p->h, p->valid, p->parsed and p->error."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.errors = error_codes(context.program)
        parsers = context.program.parsers
        self.parser = parsers[0] if parsers else None
        self.ids = {s.name: s.id for s in self.parser.states} if self.parser else {}
        self.looping = _states_in_loops(self.parser) if self.parser else set()

    def emit(self, out: Emitter) -> None:
        """The parse function."""
        with out.function("P4N_FN void p4n_parse(struct p4n_phv *p)"):
            if self.parser is None or self.parser.init_state is None:
                out.line("p->parsed = 0;")
                out.line(f"p->error = {self.errors['NoError']};")
                return
            out.line("uint8_t *const data = p->pkt->data;")
            out.line("const uint32_t len = p->pkt->len;")
            out.line("uint32_t off = 0;")
            out.line(f"uint32_t error = {self.errors['NoError']};")
            if self.looping:
                out.line("uint32_t steps = 0;")
            out.line()
            out.line("(void)data;")
            out.line("(void)len;")
            out.line(f"goto {self._label(self.parser.init_state)};")
            for state in self._reachable():
                self._state(out, state)
            out.label("done")
            out.line("p->parsed = off;")
            out.line("p->error = error;")

    def _reachable(self) -> list[m.ParseState]:
        assert self.parser is not None
        by_name = {s.name: s for s in self.parser.states}
        seen: list[str] = []
        todo = [self.parser.init_state]
        while todo:
            name = todo.pop()
            if name is None or name in seen:
                continue
            seen.append(name)
            todo.extend(t.next_state for t in by_name[name].transitions)
        return [s for s in self.parser.states if s.name in seen]

    def _label(self, name: str | None) -> str:
        return "done" if name is None else f"state_{self.ids[name]}_{identifier(name)}"

    def _fail(self, out: Emitter, condition: str, error: str) -> None:
        with out.block(f"if ({condition})"):
            out.line(f"error = {self.errors[error]};")
            out.line("goto done;")

    def _state(self, out: Emitter, state: m.ParseState) -> None:
        out.label(self._label(state.name))
        with out.block(""):
            out.line(f"P4N_TRACE_STATE({c_string(state.name)});")
            if state.name in self.looping:
                self._fail(out, f"++steps > {MAX_STEPS}", "ParserTimeout")
            for op in state.ops:
                with out.block(""):
                    self._op(out, state, op)
            self._transition(out, state)

    def _exprs(self, out: Emitter, state: m.ParseState) -> ExprGen:
        return ExprGen(
            self.context.layout, out, self.context.registers, (), f"parser state {state.name}"
        )

    # --- operations ------------------------------------------------------------------------------

    def _op(self, out: Emitter, state: m.ParseState, op: m.ParserOp) -> None:
        exprs = self._exprs(out, state)
        match op.op:
            case "extract" | "extract_VL":
                self._extract(exprs, op)
            case "set":
                self._lookahead(exprs, op.args[1:])
                StoreGen(exprs).assign(op.args[0], op.args[1])
            case "verify":
                with out.block(f"if (!{exprs.boolean(op.args[0])})"):
                    out.line(f"error = (uint32_t){exprs.low(op.args[1], 32)};")
                    out.line("goto done;")
            case "advance":
                self._advance(exprs, op.args[0])
            case "primitive":
                assert op.call is not None
                PrimitiveGen(self.context, exprs).call(op.call)

    def _lookahead(self, exprs: ExprGen, values: tuple[m.Expr, ...]) -> None:
        """Makes sure that every lookahead's bytes are there; they are read through `at`."""
        ahead = [v for v in values if isinstance(v, m.LookAhead)]
        if not ahead:
            return
        need = max((v.offset + v.width + 7) // 8 for v in ahead)
        self._fail(exprs.out, f"len - off < {need}", "PacketTooShort")
        exprs.out.line("const uint8_t *const at = data + off;")
        exprs.out.line("(void)at;")

    def _advance(self, exprs: ExprGen, amount: m.Expr) -> None:
        out = exprs.out
        bits = out.temp("uint64_t", exprs.low(amount, 64))
        if not (isinstance(amount, m.Const) and amount.value % 8 == 0):
            self._fail(out, f"{bits} % 8 != 0", "ParserInvalidArgument")
        self._fail(out, f"len - off < {bits} / 8", "PacketTooShort")
        out.line(f"off += (uint32_t)({bits} / 8);")

    def _extract(self, exprs: ExprGen, op: m.ParserOp) -> None:
        target = op.args[0]
        layout = self.context.layout
        if isinstance(target, m.HeaderRef):
            number = layout.symbol[target.header.name]
            self._extract_to(exprs, op, number, target.header.type)
            return
        if isinstance(target, m.StackRef):
            slot, size = layout.stack_index[target.stack.name], len(target.stack.headers)
            number, htype = f"{layout.stack_first(target.stack)}u + next", target.stack.type
        else:
            assert isinstance(target, m.UnionStackRef)
            stack = target.stack
            slot, size = layout.union_stack_index[stack.name], len(stack.unions)
            table = ", ".join(str(layout.index[u.headers[op.member].name]) for u in stack.unions)
            number, htype = (
                f"((const unsigned[]){{ {table} }})[next]",
                (stack.unions[0].headers[op.member].type),
            )
        exprs.out.line(f"const uint32_t next = p->next[{slot}];")
        exprs.out.line()
        self._fail(exprs.out, f"next >= {size}", "StackOutOfBounds")
        number = exprs.out.temp("const unsigned", number)
        self._extract_to(exprs, op, number, htype)
        exprs.out.line(f"p->next[{slot}] = next + 1;")

    def _extract_to(self, exprs: ExprGen, op: m.ParserOp, number: str, htype: m.HeaderType) -> None:
        """Checks the length, then points the header at the frame's bytes."""
        out, fixed = exprs.out, htype.fixed_bits // 8
        length = f"{fixed}"
        if htype.varbit is not None:
            length = self._variable_length(exprs, op, number, htype)
        if fixed or htype.varbit is not None:
            if htype.varbit is None:
                self._fail(out, f"len - off < {length}", "PacketTooShort")
            out.line(f"p->h[{number}] = data + off;")
        out.line(f"p4n_mark_valid(p, {number});")
        out.line(f"P4N_TRACE_EXTRACT(p, {number});")
        out.line(f"off += {length};")

    def _variable_length(
        self, exprs: ExprGen, op: m.ParserOp, number: str, htype: m.HeaderType
    ) -> str:
        """Computes the varbit's length; returns the header's length in bytes."""
        out, fixed = exprs.out, htype.fixed_bits // 8
        if op.op == "extract_VL":
            bits = out.temp("int64_t", f"(int32_t){exprs.low(op.args[1], 32)}")
        else:
            if htype.length_exp is None:
                raise exprs.fail(f"extract of '{htype.name}' without the length of its varbit")
            self._fail(out, f"len - off < {fixed}", "PacketTooShort")
            out.line(f"p->h[{number}] = data + off;")
            length = _resolve(htype.length_exp, htype, number, exprs)
            bits = out.temp("int64_t", f"(int32_t){exprs.low(length, 32)}")
        self._fail(out, f"{bits} < 0 || {bits} % 8 != 0", "ParserInvalidArgument")
        total = out.temp("const uint32_t", f"{fixed}u + (uint32_t)({bits} / 8)")
        self._fail(out, f"len - off < {total}", "PacketTooShort")
        longest = max(htype.max_length or 0, fixed)
        self._fail(out, f"{total} > {longest}", "HeaderTooShort")
        out.line(f"p->varlen[{number}] = (uint16_t)({bits} / 8);")
        return total

    # --- transitions -----------------------------------------------------------------------------

    def _transition(self, out: Emitter, state: m.ParseState) -> None:
        default = None
        cases = []
        for transition in state.transitions:
            if transition.kind is m.TransitionKind.DEFAULT:
                default = transition.next_state
            else:
                cases.append(transition)
        if not state.key or not cases:
            out.line(f"goto {self._label(default)};")
            return
        exprs = self._exprs(out, state)
        self._lookahead(exprs, state.key)
        slots, total = slots_of(state.key)
        words = WordGen(exprs).words(slots, total)
        names = [out.temp("const uint64_t", w) for w in words]
        out.line(" ".join(f"(void){name};" for name in names))
        plain = all(c.kind is m.TransitionKind.VALUE and c.mask is None for c in cases)
        if plain and len(names) == 1:
            self._switch(out, names[0], cases, total)
        else:
            for (kind, _), same in groupby(cases, lambda c: (c.kind, c.next_state)):
                run = list(same)
                if kind is m.TransitionKind.VALUE and len(run) > _MOST_TESTS:
                    self._table(out, run, names, total)
                    continue
                for case in run:
                    self._case(out, exprs, case, names, total)
        out.line(f"goto {self._label(default)};")

    def _switch(self, out: Emitter, key: str, cases: list[m.Transition], total: int) -> None:
        seen: set[int] = set()
        out.line(f"switch ({key}) {{")
        for case in cases:
            word = word_constants(case.value, total)[0]
            if word in seen:
                continue
            seen.add(word)
            out.line(f"case {u64(word)}:")
            out.line(f"\tgoto {self._label(case.next_state)};")
        out.line("}")

    def _table(self, out: Emitter, cases: list[m.Transition], keys: list[str], total: int) -> None:
        """Masks and values with one target as data: the C compiler takes minutes for 10,000 ifs."""
        table, at = out.name(), out.name()
        with out.block(f"static const uint64_t {table}[][{2 * len(keys)}] =", "};"):
            for case in cases:
                masks, values = _mask_and_value(case, total)
                numbers = [f"{u64(n)}, {u64(v & n)}" for n, v in zip(masks, values, strict=True)]
                out.line(f"{{ {', '.join(numbers)} }},")
        tests = [
            f"({key} & {table}[{at}][{2 * i}]) == {table}[{at}][{2 * i + 1}]"
            for i, key in enumerate(keys)
        ]
        with out.block(f"for (uint32_t {at} = 0; {at} < {len(cases)}; {at}++)"):
            out.line(f"if ({' && '.join(tests)})")
            out.line(f"\tgoto {self._label(cases[0].next_state)};")

    def _case(
        self, out: Emitter, exprs: ExprGen, case: m.Transition, keys: list[str], total: int
    ) -> None:
        if case.kind is m.TransitionKind.VALUE_SET:
            condition = self._in_value_set(out, exprs, case, keys, total)
        else:
            masks, values = _mask_and_value(case, total)
            full = word_constants((1 << total * 8) - 1, total)
            tests = [
                f"{k} == {u64(v)}" if mask == all_ else f"({k} & {u64(mask)}) == {u64(v & mask)}"
                for k, v, mask, all_ in zip(keys, values, masks, full, strict=True)
                if mask
            ]
            condition = " && ".join(tests) or "true"
        with out.block(f"if ({condition})"):
            out.line(f"goto {self._label(case.next_state)};")

    def _in_value_set(
        self, out: Emitter, exprs: ExprGen, case: m.Transition, keys: list[str], total: int
    ) -> str:
        if case.mask is not None:
            raise exprs.fail("a mask on a value set is not supported")
        assert case.value_set is not None
        key = out.name()
        swapped = ", ".join(f"__builtin_bswap64({k})" for k in keys)
        out.line(f"const uint64_t {key}[] = {{ {swapped} }};")
        number = self.context.value_sets[case.value_set]
        return f"p4n_value_set_has(p->th->value_sets[{number}], (const uint8_t *){key}, {total})"


def _mask_and_value(case: m.Transition, total: int) -> tuple[list[int], list[int]]:
    """A case's mask and value, word by word."""
    mask = (1 << total * 8) - 1 if case.mask is None else case.mask
    return word_constants(mask, total), word_constants(case.value, total)


def _resolve(e: m.Expr, htype: m.HeaderType, number: str, exprs: ExprGen) -> m.Expr:
    """A header type's length expression, its Locals replaced by the header's own fields."""
    header = next((h for h in exprs.layout.headers if exprs.layout.symbol[h.name] == number), None)
    if header is None:
        raise exprs.fail("a header with a length expression cannot be in a stack")
    match e:
        case m.Local():
            return m.FieldRef(header, htype.fields[e.index])
        case m.Op():
            left = None if e.left is None else _resolve(e.left, htype, number, exprs)
            right = None if e.right is None else _resolve(e.right, htype, number, exprs)
            return m.Op(e.op, left, right, e.cond, e.index)
    return e


def _states_in_loops(parser: m.Parser) -> set[str]:
    """States that can be reached from themselves."""
    edges = {
        s.name: {t.next_state for t in s.transitions if t.next_state is not None}
        for s in parser.states
    }
    looping = set()
    for start, after in edges.items():
        seen: set[str] = set()
        todo = list(after)
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                todo.extend(edges[name])
        if start in seen:
            looping.add(start)
    return looping
