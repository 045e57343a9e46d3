"""Hash and checksum calculations: gathering the inputs, then the algorithm."""

from __future__ import annotations

from dataclasses import dataclass

from p4native.bmv2 import model as m
from p4native.codegen.access import load_bits, store_bits
from p4native.codegen.context import Context
from p4native.codegen.emitter import Emitter
from p4native.codegen.errors import CodegenError
from p4native.codegen.names import u64
from p4native.codegen.phv import Place

# BMv2's algorithm names and the C functions that compute them from one contiguous input.
ALGORITHMS = {
    "crc16": "p4n_crc16",
    "crc16_custom": "p4n_crc16",
    "crc32": "p4n_crc32",
    "crc32_custom": "p4n_crc32",
    "crcCCITT": "p4n_crc_ccitt",
    "crc8_custom": "p4n_crc8",
    "crc64_custom": "p4n_crc64",
    "csum16": "p4n_csum16",
    "cksum16": "p4n_csum16",
    "xor16": "p4n_xor16",
    "xor32": "p4n_xor32",
    "identity": "p4n_identity",
    "xxh64": "p4n_xxh64",
    "bmv2_hash": "p4n_xxh64",
    "hash_ex": "p4n_hash_ex",
    "toeplitz": "p4n_toeplitz",
}
_WITH_THREAD = {"random": "p4n_random_hash", "round_robin": "p4n_round_robin"}
_SUMS = ("csum16", "cksum16")
_VARBIT_BYTES = 8192  # more than the compiler lets a varbit have


@dataclass(slots=True)
class Piece:
    """`width` bits, `bit` bits after `base`; or a constant when `base` is empty."""

    base: str
    bit: int
    width: int
    value: int = 0
    varlen: str = ""


@dataclass(slots=True)
class Group:
    """Inputs that are present together: those of one header, or always present (`valid` empty)."""

    valid: str
    pieces: list[Piece]

    @property
    def bits(self) -> int:
        """Bits without variable-length parts."""
        return sum(p.width for p in self.pieces)


class CalculationGen:
    """Generates `uint64_t NAME(struct p4n_phv *p)` for a list of inputs and an algorithm."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def emit(self, out: Emitter, name: str, algo: str, inputs: tuple[m.CalcInput, ...]) -> None:
        """One calculation function."""
        if algo not in ALGORITHMS and algo not in _WITH_THREAD:
            known = ", ".join(sorted([*ALGORITHMS, *_WITH_THREAD]))
            raise CodegenError(name, f"hash algorithm '{algo}' is unknown, expected one of {known}")
        groups = self._groups(name, inputs)
        payload = any(i.kind == "payload" for i in inputs)
        with out.function(f"P4N_FN uint64_t {name}(struct p4n_phv *p)"):
            out.line("(void)p;")
            aligned = all(p.width % 8 == 0 and not p.varlen for g in groups for p in g.pieces)
            if algo in _WITH_THREAD:
                out.line(f"return {_WITH_THREAD[algo]}(p->th);")
            elif algo in _SUMS and aligned and all(g.bits % 16 == 0 for g in groups):
                self._sum(out, groups, payload)
            else:
                self._buffered(out, algo, groups, payload)

    # --- inputs ----------------------------------------------------------------------------------

    def _groups(self, name: str, inputs: tuple[m.CalcInput, ...]) -> list[Group]:
        groups: list[Group] = []
        for item in inputs:
            if item.kind == "payload":
                continue
            valid, pieces = self._pieces(name, item)
            if groups and groups[-1].valid == valid:
                groups[-1].pieces.extend(pieces)
            else:
                groups.append(Group(valid, pieces))
        for group in groups:
            group.pieces = _merge(group.pieces)
        return groups

    def _pieces(self, name: str, item: m.CalcInput) -> tuple[str, list[Piece]]:
        layout = self.context.layout
        if isinstance(item.value, m.Const):
            return "", [Piece("", 0, item.width, item.value.value)]
        if isinstance(item.value, m.HeaderRef):
            header = item.value.header
            places = [layout.place(header, f) for f in header.type.fields]
        elif isinstance(item.value, m.FieldRef):
            header = item.value.header
            places = [layout.place(header, item.value.field)]
        else:
            raise CodegenError(name, f"calculation input '{item.kind}' is not supported")
        valid = "" if header.metadata else layout.symbol[header.name]
        return valid, [self._piece(name, p) for p in places]

    @staticmethod
    def _piece(name: str, place: Place) -> Piece:
        if place.kind == "varbit":
            return Piece(place.code, place.bit, 0, varlen=f"p->varlen[{place.header}]")
        if place.kind == "valid":
            return Piece(f"(uint64_t)p4n_is_valid(p, {place.code})", -1, 1)
        if place.kind == "var":
            return Piece(place.code, -1, place.width)
        if place.bit_extra:
            raise CodegenError(name, "a field behind a variable-length one is not supported here")
        return Piece(place.code, place.bit, place.width)

    # --- one's complement sum --------------------------------------------------------------------

    def _sum(self, out: Emitter, groups: list[Group], payload: bool) -> None:
        out.line("uint64_t sum = 0;")
        out.line()
        for group in groups:
            cond = f"if (p4n_is_valid(p, {group.valid}))" if group.valid else ""
            with out.block(cond):
                self._sum_pieces(out, group)
        if payload:
            out.line("sum = p4n_csum_add(sum, p4n_payload(p), p4n_payload_bytes(p));")
        out.line("return p4n_csum_fold(sum);")

    def _sum_pieces(self, out: Emitter, group: Group) -> None:
        at = 0
        for piece in group.pieces:
            even = at // 8 % 2 == 0 and piece.width % 16 == 0
            if even and piece.base and piece.bit >= 0 and piece.bit % 8 == 0:
                where = f"{piece.base} + {piece.bit // 8}"
                out.line(f"sum += p4n_csum_words({where}, {piece.width // 8});")
                at += piece.width
                continue
            for width, code in _chunks(piece):
                shift = 8 if (at + width) // 8 % 2 else 0
                out.line(f"sum += p4n_csum_number({code}, {shift});")
                at += width

    # --- any algorithm ---------------------------------------------------------------------------

    def _buffered(self, out: Emitter, algo: str, groups: list[Group], payload: bool) -> None:
        longest = sum((g.bits + 7) // 8 for g in groups) + sum(
            _VARBIT_BYTES for g in groups for p in g.pieces if p.varlen
        )
        if payload:
            out.line("uint8_t *buf = p4n_scratch(p->th);")
        else:
            out.line(f"uint8_t buf[{max(longest, 1) + 8}];")
        whole = all(g.bits % 8 == 0 for g in groups)
        out.line(f"uint32_t {'n' if whole else 'bit'} = 0;")
        out.line()
        if not whole or any(p.width % 8 or p.bit % 8 for g in groups for p in g.pieces):
            out.line(f"memset(buf, 0, {max(longest, 1)});")
        for group in groups:
            cond = f"if (p4n_is_valid(p, {group.valid}))" if group.valid else ""
            with out.block(cond):
                if whole:
                    self._append_bytes(out, group)
                else:
                    self._append_bits(out, group)
        size = "n" if whole else "(bit + 7) / 8"
        if payload:
            out.line(f"memcpy(buf + {size}, p4n_payload(p), p4n_payload_bytes(p));")
            size += " + p4n_payload_bytes(p)"
        out.line(f"return {ALGORITHMS[algo]}(buf, {size});")

    def _append_bytes(self, out: Emitter, group: Group) -> None:
        at = 0
        for piece in group.pieces:
            if piece.varlen:
                where = f"{piece.base} + {piece.bit // 8}"
                out.line(f"memcpy(buf + n + {at // 8}, {where}, {piece.varlen});")
                out.line(f"n += {piece.varlen};")
            elif piece.base and piece.bit >= 0 and not (at | piece.bit | piece.width) & 7:
                where = f"{piece.base} + {piece.bit // 8}" if piece.bit else piece.base
                out.line(f"memcpy(buf + n + {at // 8}, {where}, {piece.width // 8});")
                at += piece.width
            else:
                for width, code in _chunks(piece):
                    for line in store_bits(Place("bytes", "buf + n", width), at, width, code):
                        out.line(line)
                    at += width
        out.line(f"n += {at // 8};")

    def _append_bits(self, out: Emitter, group: Group) -> None:
        for piece in group.pieces:
            if piece.varlen:
                raise CodegenError("calculation", "a varbit among fields of odd widths")
            for width, code in _chunks(piece):
                out.line(f"p4n_stbits(buf, bit, {width}, {code});")
                out.line(f"bit += {width};")


def _merge(pieces: list[Piece]) -> list[Piece]:
    """Joins pieces that follow each other in the same bytes."""
    merged: list[Piece] = []
    for piece in pieces:
        if not piece.width and not piece.varlen:
            continue
        last = merged[-1] if merged else None
        joins = (
            last is not None
            and piece.base
            and last.base == piece.base
            and piece.bit >= 0
            and not (last.varlen or piece.varlen)
            and last.bit + last.width == piece.bit
        )
        if joins and last is not None:
            merged[-1] = Piece(last.base, last.bit, last.width + piece.width)
        else:
            merged.append(piece)
    return merged


def _chunks(piece: Piece) -> list[tuple[int, str]]:
    """The piece as (width, C number) of at most 64 bits each, first bits first."""
    if piece.base and piece.bit < 0:
        return [(piece.width, f"(uint64_t){piece.base}")]
    chunks = []
    at, left = 0, piece.width
    while left:
        width = left % 64 or 64
        if piece.base:
            place = Place("bytes", piece.base, piece.width)
            chunks.append((width, load_bits(place, piece.bit + at, width)))
        else:
            chunks.append((width, u64(piece.value >> (left - width) & (1 << width) - 1)))
        at, left = at + width, left - width
    return chunks
