"""Types that the controller sees as strings (spec, "User-defined types").

Each type has a table of names and data plane values. A name gets its value

* from the type's `@p4runtime_translation_mappings({{"name", 7}, …})`, if it is listed there;
* from itself, if it is a decimal number that fits the type: `"7"` is 7;
* otherwise when it is first written: the highest value that nothing has yet.

A value that no name stands for reads as its decimal number, so every packet and entry can be shown.
A name that is read, deleted or in a packet-out and stands for nothing is not there: only an update
that takes effect gives a value to it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from finsy.proto import p4t, rpc_code

from p4native.p4runtime.errors import (
    P4RuntimeError,
    invalid_argument,
    out_of_range,
    resource_exhausted,
)
from p4native.switch.draft import Draft

MAX_NAMES = 65536
"""Names that one type remembers."""
_MAPPINGS = "@p4runtime_translation_mappings"
_PAIR = re.compile(r'\{\s*"([^"]*)"\s*,\s*(0[xX][0-9a-fA-F]+|\d+)\s*\}')
_NUMBER = re.compile(r"0|[1-9][0-9]*")


class UnknownNameError(P4RuntimeError):
    """A name stands for nothing."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(rpc_code.NOT_FOUND, f"{what}: nothing is called {name!r}")


class _Learner(threading.local):
    """Where this thread notes which names are new; None while it gives no values to names."""

    draft: Draft | None = None


class Names:
    """The names of one type of `width` bits in the data plane."""

    def __init__(self, key: str, width: int, mappings: dict[str, int], learner: _Learner) -> None:
        """Start with the program's own mappings; INVALID_ARGUMENT if they contradict themselves."""
        self._learner = learner
        self.key = key
        self.width = width
        self._values = dict(mappings)
        self._names = {value: name for name, value in mappings.items()}
        if len(self._names) != len(mappings) or any(v >> width for v in self._names):
            raise invalid_argument(
                f"p4info type {key}: mappings {mappings} are not one to one into bit<{width}>"
            )
        self._next = (1 << width) - 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Names) and (self.key, self.width) == (other.key, other.width)

    def __hash__(self) -> int:
        return hash((self.key, self.width))

    def value(self, data: bytes, what: str) -> int:
        """Return the value that a name stands for, now or, while names are learnt, from now on."""
        if not data and "" not in self._values:
            raise out_of_range(f"{what}: empty string, expected a name")
        name = _text(data, what)
        known = self._values.get(name)
        if known is not None:
            return known
        draft = self._learner.draft
        value = int(name) if _NUMBER.fullmatch(name) else None
        if value is None or value >> self.width:
            if draft is None:
                raise UnknownNameError(what, name)
            value = self._free_value(name, what)
        elif value in self._names:
            raise invalid_argument(f"{what}: {name} is the value of {self._names[value]!r} already")
        if draft is not None:
            self._keep(name, value)
            draft.on_refusal(lambda: self._forget(name, value))
        return value

    def name(self, value: int) -> bytes:
        """Return the name of a value, or its decimal number."""
        return self._names.get(value, str(value)).encode()

    def adopt(self, older: Names) -> None:
        """Take over what an earlier pipeline has given out; INVALID_ARGUMENT if it cannot be."""
        for name, value in older._values.items():
            if self._values.get(name, value) != value or self._names.get(value, name) != name:
                raise invalid_argument(
                    f"type {self.key}: {name!r} is in use as {value}, the new mappings differ"
                )
            self._keep(name, value)
        self._next = min(self._next, older._next)

    def _free_value(self, name: str, what: str) -> int:
        while self._next in self._names:
            self._next -= 1
        if self._next < 0 or len(self._values) >= MAX_NAMES:
            raise resource_exhausted(
                f"{what}: no value is left for {name!r}, {len(self._values)} names are known"
            )
        return self._next

    def _keep(self, name: str, value: int) -> None:
        self._values[name] = value
        self._names[value] = name

    def _forget(self, name: str, value: int) -> None:
        del self._values[name], self._names[value]
        self._next = max(self._next, value)


class Translations:
    """The types of one P4Info that are strings to the controller; one table per URI."""

    def __init__(self, types: p4t.P4TypeInfo) -> None:
        """Take the types from `type_info`."""
        self.types = types
        self._tables: dict[str, Names] = {}
        self._learner = _Learner()

    @contextmanager
    def learning(self, draft: Draft) -> Iterator[None]:
        """Give values to new names while the block runs, in this thread, as part of a draft."""
        self._learner.draft = draft
        try:
            yield
        finally:
            self._learner.draft = None

    def is_string(self, type_name: str) -> bool:
        """Whether values of this type are strings."""
        spec = self.types.new_types.get(type_name)
        return spec is not None and spec.translated_type.HasField("sdn_string")

    def is_translated(self, type_name: str) -> bool:
        """Whether clients see other values of this type than the data plane."""
        spec = self.types.new_types.get(type_name)
        return spec is not None and spec.HasField("translated_type")

    def names(self, type_name: str, width: int) -> Names | None:
        """Return the table for a type of `width` bits in the data plane; None unless a string."""
        if not self.is_string(type_name):
            return None
        spec = self.types.new_types[type_name]
        key = spec.translated_type.uri or type_name
        if key not in self._tables:
            self._tables[key] = Names(key, width, _mappings(spec), self._learner)
        found = self._tables[key]
        if found.width != width:
            raise invalid_argument(
                f"p4info type {type_name}: {width} bits in one place, {found.width} in another"
            )
        return found

    def adopt(self, older: Translations) -> None:
        """Take over the names of an earlier pipeline's types."""
        for key, table in older._tables.items():
            if key in self._tables:
                self._tables[key].adopt(table)


def _text(data: bytes, what: str) -> str:
    try:
        name = data.decode()
    except UnicodeDecodeError:
        raise invalid_argument(f"{what}: 0x{data[:32].hex()} is not UTF-8") from None
    if "\0" in name:
        raise invalid_argument(f"{what}: a name may not contain NUL")
    return name


def _mappings(spec: Any) -> dict[str, int]:
    texts = [text for text in spec.annotations if text.startswith(_MAPPINGS)]
    return {name: int(number, 0) for text in texts for name, number in _PAIR.findall(text)}
