"""Keys as 64-bit words: fields placed side by side in a byte-padded, big-endian record."""

from __future__ import annotations

from dataclasses import dataclass

from p4native.bmv2 import model as m
from p4native.codegen.expr import ExprGen
from p4native.codegen.layout import byte_width, expr_width
from p4native.codegen.phv import Place


@dataclass(frozen=True, slots=True)
class Slot:
    """A field at a byte offset of the record."""

    expr: m.Expr
    offset: int
    width: int


def slots_of(exprs: tuple[m.Expr, ...]) -> tuple[list[Slot], int]:
    """The fields' places in the record, and its length in bytes."""
    slots, at = [], 0
    for e in exprs:
        width = 1 if isinstance(e, m.HeaderRef) else expr_width(e)
        slots.append(Slot(e, at, width))
        at += byte_width(width)
    return slots, at


class WordGen:
    """Generates the words of a record, each as one uint64_t in big-endian order."""

    def __init__(self, gen: ExprGen) -> None:
        self.gen = gen

    def words(self, slots: list[Slot], total: int) -> list[str]:
        """C code of each word; a short last word is left-aligned (zero-padded behind)."""
        parts: list[list[str]] = [[] for _ in range((total + 7) // 8)]
        for slot in slots:
            self._place(slot, parts)
        return [" | ".join(p) if p else "0" for p in parts]

    def _place(self, slot: Slot, parts: list[list[str]]) -> None:
        """Adds the slot's bits to every word that it overlaps."""
        if slot.width == 0:
            return
        end_bit = (slot.offset + byte_width(slot.width)) * 8
        place = self._place_of(slot.expr)
        whole = None
        if place is None or place.kind != "bytes":
            whole = self.gen.low(slot.expr, 64) if place is None else self.gen.load(place).code
        start_bit = end_bit - slot.width
        for word in range(start_bit // 64, (end_bit - 1) // 64 + 1):
            first, last = max(start_bit, word * 64), min(end_bit, word * 64 + 64)
            lsb = end_bit - last
            shift = word * 64 + 64 - last
            if whole is None and place is not None:
                code = self.gen.slice(place, lsb, last - first).code
            else:
                code = f"{whole} >> {lsb}" if lsb else str(whole)
            parts[word].append(f"({code}) << {shift}" if shift else f"({code})")

    def _place_of(self, e: m.Expr) -> Place | None:
        if isinstance(e, m.HeaderRef):
            if e.header.metadata:
                return Place("const", "1", 1)
            return Place("valid", self.gen.layout.symbol[e.header.name], 1)
        place = self.gen.place(e)
        if place.kind == "var" and place.signed:
            return Place("var", place.code, place.width)
        return place


def word_constants(value: int, total: int) -> list[int]:
    """A record's value (total bytes, big-endian) as left-aligned 64-bit words."""
    padded = value << (-total % 8 * 8)
    count = (total + 7) // 8
    return [padded >> 64 * (count - 1 - i) & (1 << 64) - 1 for i in range(count)]
