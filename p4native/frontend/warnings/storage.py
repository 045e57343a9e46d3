"""What the initialization analysis knows about variables at one program point.

A `Key` names a variable or a part of it: the declaration followed by field names and stack
indices. Leaves are the parts that hold one value.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from p4native.frontend import ir
from p4native.frontend.types import StackType, StructType, Type

Key = tuple[Any, ...]
Path = tuple[Any, ...]

VALID, INVALID, MAYBE = "a valid", "an invalid", "a potentially invalid"
_MAX_LEAVES = 5000  # larger variables are not tracked


@lru_cache(maxsize=1024)
def _count(t: Type) -> int:
    """The number of leaves of a value of this type."""
    if isinstance(t, StructType):
        return sum(_count(f) for f in t.fields.values())
    return t.size * _count(t.element) if isinstance(t, StackType) else 1


@lru_cache(maxsize=1024)
def leaves(t: Type) -> tuple[Path, ...]:
    """The paths from a value of this type to its leaves."""
    if _count(t) > _MAX_LEAVES:
        return ()
    return tuple(p for p, _ in _leaves(t, False))


@lru_cache(maxsize=1024)
def plain_leaves(t: Type) -> tuple[Path, ...]:
    """The leaves that are not in a header (headers may be left invalid)."""
    if _count(t) > _MAX_LEAVES:
        return ()
    return tuple(p for p, in_header in _leaves(t, False) if not in_header)


def _leaves(t: Type, in_header: bool) -> list[tuple[Path, bool]]:
    found: list[tuple[Path, bool]] = []
    if isinstance(t, StructType):
        inside = in_header or t.kind != "struct"
        for name, field in t.fields.items():
            found.extend(((name, *p), h) for p, h in _leaves(field, inside))
        return found
    if isinstance(t, StackType):
        inner = _leaves(t.element, in_header)
        for index in range(t.size):
            found.extend(((index, *p), h) for p, h in inner)
        return found
    return [((), in_header)]


@lru_cache(maxsize=1024)
def headers(t: Type) -> tuple[Path, ...]:
    """The paths from a value of this type to the headers and header unions in it."""
    found: list[Path] = []
    if _count(t) > _MAX_LEAVES:
        return ()
    if isinstance(t, StructType):
        if t.kind != "struct":
            found.append(())
        if t.kind != "header":
            for name, field in t.fields.items():
                found.extend((name, *p) for p in headers(field))
    elif isinstance(t, StackType):
        for index in range(t.size):
            found.extend((index, *p) for p in headers(t.element))
    return tuple(found)


class State:
    """One program point: parts never written on some path, and what is known of headers."""

    __slots__ = ("quiet", "unwritten", "validity")

    def __init__(self) -> None:
        self.unwritten: set[Key] = set()
        self.validity: dict[Key, str] = {}
        self.quiet: set[Key] = set()  # headers the program asked isValid() of

    def copy(self) -> State:
        """An independent copy."""
        new = State()
        new.unwritten = set(self.unwritten)
        new.validity = dict(self.validity)
        new.quiet = set(self.quiet)
        return new

    def join(self, other: State) -> State:
        """What holds when control comes from either state."""
        new = State()
        new.unwritten = self.unwritten | other.unwritten
        for key, value in self.validity.items():
            theirs = other.validity.get(key)
            if theirs is not None:
                new.validity[key] = value if value == theirs else MAYBE
        new.quiet = self.quiet & other.quiet
        return new

    def same(self, other: State) -> bool:
        """Whether both know the same."""
        return (
            self.unwritten == other.unwritten
            and self.validity == other.validity
            and self.quiet == other.quiet
        )

    def declare(self, decl: ir.Decl, t: Type, written: bool) -> None:
        """A variable or parameter comes into being."""
        base = (decl,)
        keys = {base + p for p in leaves(t)}
        if written:
            self.unwritten -= keys
        else:
            self.unwritten |= keys
        self.set_headers(base, t, VALID if written else INVALID)

    def write(self, key: Key, t: Type) -> None:
        """A part gets a value."""
        self.unwritten.difference_update(key + p for p in leaves(t))

    def set_headers(self, key: Key, t: Type, validity: str) -> None:
        """All headers in a part become valid or invalid."""
        for path in headers(t):
            self.set_validity(key + path, validity)

    def set_validity(self, key: Key, validity: str) -> None:
        """One header's validity is known from here on."""
        self.validity[key] = validity
        self.quiet.discard(key)

    def header(self, key: Key) -> str:
        """What is known of a header; headers that are not tracked count as valid."""
        if key in self.quiet:
            return VALID
        return self.validity.get(key, VALID)


def join(a: State | None, b: State | None) -> State | None:
    """Join where None stands for an unreachable point."""
    if a is None:
        return b
    if b is None:
        return a
    return a.join(b)
