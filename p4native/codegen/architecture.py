"""What simple_switch's architecture code (simple_switch.h) calls of a program: metadata access,
checksums, preserved field lists, digests."""

from __future__ import annotations

from collections.abc import Iterator

from p4native.bmv2 import model as m
from p4native.codegen.calculations import CalculationGen
from p4native.codegen.context import Context
from p4native.codegen.emitter import Emitter
from p4native.codegen.errors import CodegenError
from p4native.codegen.expr import ExprGen
from p4native.codegen.layout import byte_width, expr_width, learn_bytes
from p4native.codegen.primitives import PrimitiveGen, calculation_name
from p4native.codegen.store import StoreGen
from p4native.codegen.values import Val, unsigned

_STD = "standard_metadata."
_INTRINSIC = "intrinsic_metadata."
_QUEUE = "queueing_metadata."


class ArchitectureGen:
    """Generates the hooks of the architecture."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def emit_calculations(self, out: Emitter) -> None:
        """Hash functions of calculations and selectors; before the actions that call them."""
        gen = CalculationGen(self.context)
        for calc in self.context.program.calculations:
            gen.emit(out, calculation_name(self.context, calc.name), calc.algo, calc.inputs)
        for i, profile in enumerate(self.context.program.profiles):
            if profile.selector is not None:
                gen.emit(out, f"selector_{i}", profile.selector.algo, profile.selector.inputs)

    def emit(self, out: Emitter) -> None:
        """All hooks; after the controls."""
        self._features(out)
        self._setters(out)
        self._getters(out)
        self._preserve(out)
        self._checksums(out)
        self._deparser_calls(out)
        self._learn(out)

    def _features(self, out: Emitter) -> None:
        primitives = self.context.primitives
        for macro, used in (
            ("P4N_CLONES_INGRESS", "clone_ingress_pkt_to_egress" in primitives),
            ("P4N_CLONES_EGRESS", "clone_egress_pkt_to_egress" in primitives),
            ("P4N_RESUBMITS", "resubmit" in primitives),
            ("P4N_RECIRCULATES", "recirculate" in primitives),
            ("P4N_LEARNS", "generate_digest" in primitives),
            ("P4N_MULTICASTS", self._mcast_used()),
        ):
            out.line(f"#define {macro} {int(used)}")
        out.line()

    def _mcast_used(self) -> bool:
        ref = self.context.arch_field(_INTRINSIC + "mcast_grp")
        return ref is not None and self.context.is_used(ref)

    # --- metadata --------------------------------------------------------------------------------

    def _put(self, out: Emitter, name: str, code: str, *, always: bool = False) -> None:
        """Stores into a field of the architecture when the program looks at it."""
        ref = self.context.arch_field(name)
        if ref is None or not (always or self.context.is_used(ref)):
            return
        exprs = ExprGen(self.context.layout, out, {})
        place = self.context.layout.place(ref.header, ref.field)
        StoreGen(exprs).put(place, Val(code, "u64", *unsigned(64)))

    def _setters(self, out: Emitter) -> None:
        drop_free = "(uint64_t)p->th->drop_port + 1"
        setters: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
            (
                "received",
                (
                    (_STD + "ingress_port", "p->pkt->ingress_port"),
                    (_STD + "packet_length", "p->packet_length"),
                    (_INTRINSIC + "ingress_global_timestamp", "p->th->now_us"),
                ),
            ),
            ("again", ((_STD + "packet_length", "p->packet_length"),)),
            ("clone_parsed", ((_STD + "ingress_port", "p->pkt->ingress_port"),)),
            (
                "parsed",
                (
                    (_STD + "parser_error", "p->error"),
                    (_STD + "checksum_error", "p->checksum_error"),
                ),
            ),
            (
                "enqueued",
                ((_QUEUE + "enq_timestamp", "p->th->now_us"), (_QUEUE + "enq_qdepth", "0")),
            ),
            (
                "dequeued",
                (
                    (_INTRINSIC + "egress_global_timestamp", "p->th->now_us"),
                    (_QUEUE + "deq_timedelta", "0"),
                    (_QUEUE + "deq_qdepth", "0"),
                    (_QUEUE + "qid", "0"),
                    (_STD + "packet_length", "p->packet_length"),
                ),
            ),
        )
        for name, fields in setters:
            with out.function(f"P4N_FN void p4n_set_{name}(struct p4n_phv *p)"):
                out.line("(void)p;")
                for field, code in fields:
                    self._put(out, field, code)
        for name, field in (
            ("instance", _STD + "instance_type"),
            ("rid", _INTRINSIC + "egress_rid"),
            ("egress_port", _STD + "egress_port"),
        ):
            with out.function(f"P4N_FN void p4n_set_{name}(struct p4n_phv *p, uint32_t value)"):
                out.line("(void)p;")
                out.line("(void)value;")
                self._put(out, field, "value")
        with out.function("P4N_FN void p4n_set_no_drop(struct p4n_phv *p)"):
            self._put(out, _STD + "egress_spec", drop_free, always=True)

    def _getters(self, out: Emitter) -> None:
        for name, field in (
            ("egress_spec", _STD + "egress_spec"),
            ("mcast_grp", _INTRINSIC + "mcast_grp"),
            ("priority", _INTRINSIC + "priority"),
        ):
            with out.function(f"P4N_FN uint32_t p4n_get_{name}(const struct p4n_phv *p)"):
                ref = self.context.arch_field(field)
                if ref is None:
                    out.line("(void)p;")
                    out.line("return 0;")
                    continue
                exprs = ExprGen(self.context.layout, out, {})
                out.line(f"return (uint32_t){exprs.low(ref, 32)};")

    # --- field lists -----------------------------------------------------------------------------

    def _preserve(self, out: Emitter) -> None:
        """Copies the metadata of a field list from one state to another."""
        head = "P4N_FN void p4n_preserve(struct p4n_phv *to, const struct p4n_phv *from, "
        with out.function(head + "uint32_t list)"):
            out.line("(void)to;")
            out.line("(void)from;")
            out.line("switch (list) {")
            for fields in self.context.program.field_lists:
                out.line(f"case {fields.id}:")
                for code in self._copies(fields):
                    out.line(f"\t{code}")
                out.line("\tbreak;")
            out.line("}")

    def _copies(self, fields: m.FieldList) -> Iterator[str]:
        for element in fields.elements:
            if not isinstance(element, m.FieldRef):
                continue
            place = self.context.layout.place(element.header, element.field)
            if not element.header.metadata or place.kind == "const":
                continue  # the copy has headers of its own
            member = place.code.removeprefix("p->")
            if place.kind == "var":
                yield f"to->{member} = from->{member};"
            else:
                size = byte_width(place.width)
                yield f"memcpy(to->{member}, from->{member}, {size});"

    # --- checksums -------------------------------------------------------------------------------

    def _checksums(self, out: Emitter) -> None:
        with out.function("P4N_FN void p4n_verify_checksums(struct p4n_phv *p)"):
            out.line("(void)p;")
            for checksum in self.context.program.checksums:
                if checksum.verify:
                    with out.block(""):
                        self._verify(out, checksum)
        with out.function("P4N_FN void p4n_update_checksums(struct p4n_phv *p)"):
            out.line("(void)p;")
            for checksum in self.context.program.checksums:
                if checksum.update:
                    with out.block(""):
                        self._update(out, checksum)

    def _exprs(self, out: Emitter, checksum: m.Checksum) -> tuple[ExprGen, str]:
        exprs = ExprGen(
            self.context.layout, out, self.context.registers, (), f"checksum {checksum.name}"
        )
        condition = "true" if checksum.condition is None else exprs.boolean(checksum.condition)
        return exprs, condition

    def _verify(self, out: Emitter, checksum: m.Checksum) -> None:
        exprs, condition = self._exprs(out, checksum)
        header = checksum.target.header
        if not header.metadata:
            number = self.context.layout.symbol[header.name]
            condition = f"p4n_is_valid(p, {number}) && {condition}"
        name = calculation_name(self.context, checksum.calculation)
        actual = exprs.low(checksum.target, 64)
        with out.block(f"if ({condition} && {name}(p) != {actual})"):
            out.line("p->checksum_error = true;")

    def _update(self, out: Emitter, checksum: m.Checksum) -> None:
        exprs, condition = self._exprs(out, checksum)
        name = calculation_name(self.context, checksum.calculation)
        with out.block(f"if ({condition})"):
            value = Val(f"{name}(p)", "u64", *unsigned(64))
            StoreGen(exprs).put(exprs.place(checksum.target), value)

    def _deparser_calls(self, out: Emitter) -> None:
        with out.function("P4N_FN void p4n_deparser_calls(struct p4n_phv *p)"):
            out.line("(void)p;")
            for deparser in self.context.program.deparsers[:1]:
                exprs = ExprGen(self.context.layout, out, self.context.registers, (), "deparser")
                gen = PrimitiveGen(self.context, exprs)
                for call in deparser.calls:
                    with out.block(""):
                        gen.call(call)

    # --- digests ---------------------------------------------------------------------------------

    def _learn(self, out: Emitter) -> None:
        with out.function("P4N_FN void p4n_send_digest(struct p4n_phv *p)"):
            out.line("(void)p;")
            out.line("switch (p->learn) {")
            for fields in self.context.program.learn_lists:
                out.line(f"case {fields.id}:")
                with out.block(""):
                    self._digest(out, fields)
                    out.line("break;")
            out.line("}")

    def _digest(self, out: Emitter, fields: m.FieldList) -> None:
        size = learn_bytes(fields)
        exprs = ExprGen(
            self.context.layout, out, self.context.registers, (), f"digest {fields.name}"
        )
        out.line(f"uint8_t record[{max(size, 1)}];")
        out.line()
        at = 0
        for element in fields.elements:
            width = expr_width(element)
            self._field(out, exprs, element, at, width)
            at += byte_width(width)
        out.line(f"p4n_learn(p->th, {fields.id}, record, {size});")

    @staticmethod
    def _field(out: Emitter, exprs: ExprGen, e: m.Expr, at: int, width: int) -> None:
        size = byte_width(width)
        if width <= 64:
            code = exprs.low(e, width)
            if width < size * 8:
                code = f"p4n_low({code}, {width})"
            out.line(f"p4n_st{size}(record + {at}, {code});")
            return
        place = exprs.place(e)
        done = 0
        while done < size * 8:
            chunk = min(64, size * 8 - done) if done else (size * 8 - 1) % 64 + 1
            lsb = size * 8 - done - chunk
            part = exprs.slice(place, lsb, min(chunk, width - lsb)).code
            out.line(f"p4n_st{chunk // 8}(record + {at + done // 8}, {part});")
            done += chunk


def check_program(context: Context) -> None:
    """Refuses what simple_switch cannot run either."""
    for name in ("ingress", "egress"):
        if context.program.pipeline(name) is None:
            raise CodegenError(
                "program", f"the pipeline '{name}' that simple_switch needs is missing"
            )
