"""A JSON value that knows its path, so that every fault can say where it is."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

# Twice what p4c allows; expressions are limited likewise.
MAX_WIDTH = 4096


class BmvJsonError(ValueError):
    """The JSON is not a valid BMv2 program; `path` is where, as `$.tables[2].key`."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


class Node:
    """One JSON value and its path."""

    __slots__ = ("path", "value")

    def __init__(self, value: Any, path: str) -> None:
        self.value = value
        self.path = path

    def error(self, message: str) -> BmvJsonError:
        """An exception that blames this value."""
        return BmvJsonError(self.path, message)

    def __getitem__(self, key: str) -> Node:
        if not isinstance(self.value, dict):
            raise self.error(f"expected an object, got {type(self.value).__name__}")
        if key not in self.value:
            raise self.error(f"'{key}' is missing")
        return Node(self.value[key], f"{self.path}.{key}")

    def get(self, key: str) -> Node | None:
        """The member, or None when it is absent or null."""
        if not isinstance(self.value, dict) or self.value.get(key) is None:
            return None
        return Node(self.value[key], f"{self.path}.{key}")

    def index(self, position: builtins.int) -> Node:
        """One element of an array."""
        if not isinstance(self.value, list):
            raise self.error(f"expected an array, got {type(self.value).__name__}")
        if position >= len(self.value):
            raise self.error(f"{len(self.value)} elements, expected at least {position + 1}")
        return Node(self.value[position], f"{self.path}[{position}]")

    def __len__(self) -> builtins.int:
        return len(self.value) if isinstance(self.value, list | dict) else 0

    def __iter__(self) -> Iterator[Node]:
        if not isinstance(self.value, list):
            raise self.error(f"expected an array, got {type(self.value).__name__}")
        for i, value in enumerate(self.value):
            yield Node(value, f"{self.path}[{i}]")

    def items(self, key: builtins.str) -> Iterator[Node]:
        """The elements of an array member; nothing when it is absent."""
        member = self.get(key)
        if member is not None:
            yield from member

    def str(self) -> builtins.str:
        """The text here."""
        if not isinstance(self.value, builtins.str):
            raise self.error(f"expected a string, got {self.value!r}")
        return self.value

    def optional_str(self) -> builtins.str | None:
        """The text here, None for null."""
        return None if self.value is None else Node.str(self)

    def has(self, key: builtins.str) -> builtins.bool:
        """Whether the object has this member, null or not."""
        if not isinstance(self.value, dict):
            raise self.error(f"expected an object, got {type(self.value).__name__}")
        return key in self.value

    def int(self) -> builtins.int:
        """The integer here, of at most 32 bits."""
        if not isinstance(self.value, builtins.int) or isinstance(self.value, builtins.bool):
            raise self.error(f"expected an integer, got {self.value!r}")
        if not -(1 << 31) <= self.value < 1 << 32:
            raise self.error(f"{self.value} does not fit 32 bits")
        return self.value

    def uint(self) -> builtins.int:
        """The integer here: an id, a size, a position."""
        value = self.int()
        if value < 0:
            raise self.error(f"{value} is negative, expected 0 or more")
        return value

    def width(self) -> builtins.int:
        """A width in bits, 0 to MAX_WIDTH."""
        value = self.int()
        if not 0 <= value <= MAX_WIDTH:
            raise self.error(f"{value} bits wide, expected 0 to {MAX_WIDTH}")
        return value

    def bool(self) -> builtins.bool:
        """The boolean here; p4c writes 0 for false in some header types."""
        if not isinstance(self.value, builtins.bool) and self.value not in (0, 1):
            raise self.error(f"expected true or false, got {self.value!r}")
        return builtins.bool(self.value)

    def hex(self) -> builtins.int:
        """The value of a hex string such as "0x1f" or "-0x1f"."""
        text = self.str()
        try:
            return int(text, 16)
        except ValueError:
            raise self.error(f"expected a hex string, got {text!r}") from None

    def uhex(self) -> builtins.int:
        """The value of a hex string without a sign."""
        value = self.hex()
        if value < 0:
            raise self.error(f"{self.value} is negative")
        return value

    def choice(self, *options: builtins.str) -> builtins.str:
        """The text here, which must be one of `options`."""
        text = self.str()
        if text not in options:
            raise self.error(f"'{text}' is not supported, expected one of {', '.join(options)}")
        return text
