"""Where the program's headers and metadata live in C, and how a field is addressed."""

from __future__ import annotations

from dataclasses import dataclass

from p4native.bmv2 import model as m
from p4native.bmv2.expressions import VALID_FIELD
from p4native.codegen.emitter import Emitter
from p4native.codegen.errors import CodegenError
from p4native.codegen.layout import byte_width
from p4native.codegen.names import identifier, unique

NO_UNION = 0xFFFF


@dataclass(frozen=True, slots=True)
class Place:
    """One field's storage.

    `kind` is "var" (a C integer, `code`), "bytes" (`bit` bits after the pointer `code`), "valid"
    (the validity of header number `code`) or "varbit" (bytes at `code`, header number `header`).
    """

    kind: str
    code: str
    width: int
    signed: bool = False
    saturating: bool = False
    bit: int = 0
    bit_extra: str = ""
    header: str = ""


@dataclass(frozen=True, slots=True)
class MetaField:
    """A metadata field's C member."""

    member: str
    width: int


class PhvLayout:
    """Numbers the headers in the deparser's order and gives metadata fields their members."""

    def __init__(self, program: m.Program, used: set[tuple[str, str]]) -> None:
        self.program = program
        deparser = program.deparsers[0] if program.deparsers else None
        order = deparser.order if deparser is not None else ()
        self.duplicate_order = len({h.name for h in order}) != len(order)
        self.order = order
        emitted = list(dict.fromkeys(h.name for h in order))
        # Metadata with a variable-length field is kept as a header that is never emitted.
        real = {h.name: h for h in program.headers if not h.metadata or h.type.varbit is not None}
        names = [n for n in emitted if n in real] + [n for n in real if n not in set(emitted)]
        self.headers = [real[n] for n in names]
        self.emitted = sum(n in real for n in emitted)
        self.index = {h.name: i for i, h in enumerate(self.headers)}
        taken: set[str] = set()
        self.symbol = {h.name: unique(f"H_{identifier(h.name)}", taken) for h in self.headers}
        """C name of each header's number."""
        self.stack_index = {s.name: i for i, s in enumerate(program.stacks)}
        self.union_stack_index = {
            s.name: len(program.stacks) + i for i, s in enumerate(program.union_stacks)
        }
        self.union_index = {u.name: i for i, u in enumerate(program.unions)}
        self._member_union = {
            h.name: self.union_index[u.name] for u in program.unions for h in u.headers
        }
        self.varbits = any(h.type.varbit for h in self.headers)
        self.meta: dict[tuple[str, str], MetaField] = {}
        self._assign_meta(used)
        self.homes, self.home_bytes = self._assign_homes()

    def _assign_meta(self, used: set[tuple[str, str]]) -> None:
        taken: set[str] = set()
        for header in self.program.headers:
            if not header.metadata or header.name in self.index:
                continue
            for field in header.type.fields:
                if (header.name, field.name) not in used:
                    continue
                member = unique(identifier(header.name, field.name), taken)
                self.meta[header.name, field.name] = MetaField(member, field.width)

    def _assign_homes(self) -> tuple[list[int], int]:
        homes, at = [], 0
        for header in self.headers:
            homes.append(at)
            at += (self.max_bytes(header) + 7) // 8 * 8
        sink = max([8, *(self.max_bytes(h) for h in self.headers)])
        homes.append(at)
        return homes, at + (sink + 7) // 8 * 8

    @staticmethod
    def max_bytes(header: m.Header) -> int:
        """Bytes of a header's own storage, its variable-length field at its longest."""
        fixed = (header.type.fixed_bits + 7) // 8
        if header.type.varbit is None:
            return fixed
        if header.type.max_length is None:
            raise CodegenError(header.type.name, "has a varbit but no max_length")
        return max(fixed, header.type.max_length)

    # --- places ----------------------------------------------------------------------------------

    def place(self, header: m.Header, field: m.Field) -> Place:
        """Storage of a field of a named instance."""
        if field.name == VALID_FIELD.name:
            if header.metadata:
                return Place("const", "1", 1)
            return Place("valid", self.symbol[header.name], 1)
        if header.metadata and header.name not in self.index:
            return self._meta_place(header, field)
        index = self.symbol[header.name]
        return self.place_at(header.type, field, f"p->h[{index}]", index)

    def _meta_place(self, header: m.Header, field: m.Field) -> Place:
        member = self.meta[header.name, field.name].member
        if field.width <= 64:
            return Place("var", f"p->m.{member}", field.width, field.signed, field.saturating)
        pad = byte_width(field.width) * 8 - field.width
        return Place("bytes", f"p->m.{member}", field.width, field.signed, field.saturating, pad)

    def place_at(self, htype: m.HeaderType, field: m.Field, base: str, index: str) -> Place:
        """Storage of a field of header number `index`, whose bytes are at `base`."""
        if field.name == VALID_FIELD.name:
            return Place("valid", index, 1)
        bit, extra = 0, ""
        for other in htype.fields:
            if other.name == field.name:
                break
            bit += other.width
            if other.varbit:
                extra = f"p->varlen[{index}] * 8u"
        if field.varbit:
            if bit % 8:
                raise CodegenError(htype.name, "the varbit does not start at a byte boundary")
            return Place("varbit", base, 0, bit=bit, header=index)
        return Place(
            "bytes", base, field.width, field.signed, field.saturating, bit, extra, header=index
        )

    def stack_first(self, stack: m.Stack) -> int:
        """Number of a stack's first element; the others follow it."""
        numbers = [self.index[h.name] for h in stack.headers]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise CodegenError(stack.name, "its elements are not emitted one after the other")
        return numbers[0]

    # --- declarations ----------------------------------------------------------------------------

    def emit(self, out: Emitter) -> None:
        """The configuration, struct p4n_meta and the header table."""
        stacks = len(self.program.stacks) + len(self.program.union_stacks)
        for name, value in (
            ("P4N_HEADERS", len(self.headers)),
            ("P4N_EMITTED", self.emitted),
            ("P4N_STACKS", stacks),
            ("P4N_UNIONS", len(self.program.unions)),
            ("P4N_VARBITS", int(self.varbits)),
            ("P4N_HOME_BYTES", self.home_bytes),
            ("P4N_ORDER_LIST", int(self.duplicate_order)),
            ("P4N_ORDER_BYTES", self._order_bytes()),
        ):
            out.line(f"#define {name} {value}")
        out.line()
        out.line("#include <p4n/expr.h>")
        out.line()
        if self.headers:
            out.line("enum {")
            for name in self.symbol.values():
                out.line(f"\t{name},")
            out.line("};")
            out.line()
        self._emit_meta(out)
        if self.duplicate_order:
            numbers = ", ".join(str(self.index[h.name]) for h in self.order if not h.metadata)
            out.line(f"static const unsigned p4n_order[] = {{ {numbers} }};")
            out.line()
        out.line("#include <p4n/checksum.h>")
        out.line("#include <p4n/hash.h>")
        out.line("#include <p4n/phv.h>")
        out.line("#include <p4n/text.h>")
        out.line("#include <p4n/trace.h>")
        out.line("#include <p4n/wide.h>")
        out.line()
        self._emit_headers(out)
        if self.program.unions:
            self._emit_unions(out)

    def _order_bytes(self) -> int:
        """Bytes that a deparser emits at most when it emits headers more than once."""
        if not self.duplicate_order:
            return 0
        return sum(self.max_bytes(h) for h in self.order)

    def _emit_meta(self, out: Emitter) -> None:
        out.line("struct p4n_meta {")
        ordered = sorted(self.meta.values(), key=lambda f: -min(64, f.width))
        for field in ordered:
            if field.width > 64:
                out.line(f"\tuint8_t {field.member}[{byte_width(field.width)}];")
            else:
                out.line(f"\t{int_type(field.width)} {field.member};")
        out.line("\tuint8_t unused;" if not ordered else "};")
        if not ordered:
            out.line("};")
        out.line()

    def _emit_headers(self, out: Emitter) -> None:
        out.line("static const struct p4n_header_info p4n_headers[P4N_HEADERS + 1] = {")
        for i, header in enumerate(self.headers):
            union = self._member_union.get(header.name, NO_UNION)
            out.line(
                f"\t{{ {self.homes[i]}, {header.type.fixed_bits // 8}, "
                f"{self.max_bytes(header)}, {union} }}, /* {self.symbol[header.name]} */"
            )
        sink = self.home_bytes - self.homes[-1]
        out.line(f"\t{{ {self.homes[-1]}, {sink}, {sink}, {NO_UNION} }},")
        out.line("};")
        out.line()

    def _emit_unions(self, out: Emitter) -> None:
        out.line("static const uint64_t p4n_union_members[P4N_UNIONS][P4N_VALID_WORDS] = {")
        words = (len(self.headers) + 64) // 64
        for union in self.program.unions:
            mask = sum(1 << self.index[h.name] for h in union.headers)
            cells = ", ".join(
                f"UINT64_C(0x{mask >> 64 * w & (1 << 64) - 1:x})" for w in range(words)
            )
            out.line(f"\t{{ {cells} }},")
        out.line("};")
        out.line()


def int_type(width: int) -> str:
    """The smallest unsigned C type for `width` bits (at most 64)."""
    return next(f"uint{n}_t" for n in (8, 16, 32, 64) if n >= width)
