"""A batch in the making.

Records for the engine are collected; what Python keeps beside the engine is changed at once, so
that later parts of the batch see it, and taken back if the engine, or a check, refuses the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, MutableMapping
from functools import partial
from typing import Any, TypeVar

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Draft:
    """Records, in order, and how to take back what was changed while they were made."""

    def __init__(self) -> None:
        """Start with nothing."""
        self.records: list[bytes] = []
        self.owner = 0
        """Whose records are added from now on: a number of the caller's."""
        self.owners: list[int] = []
        self.planned: dict[Hashable, Any] = {}
        """What the batch makes of objects of which the engine has only the former state yet."""
        self._undos: list[Callable[[], object]] = []

    def add(self, record: bytes) -> None:
        """Append an operation (see records.py)."""
        self.records.append(record)
        self.owners.append(self.owner)

    def put(self, mapping: MutableMapping[_Key, _Value], key: _Key, value: _Value) -> None:
        """Set an item until the draft is taken back."""
        self._restore(mapping, key)
        mapping[key] = value

    def drop(self, mapping: MutableMapping[_Key, _Value], key: _Key) -> None:
        """Remove an item, if it is there, until the draft is taken back."""
        self._restore(mapping, key)
        mapping.pop(key, None)

    def on_refusal(self, undo: Callable[[], object]) -> None:
        """Have `undo` called when the draft is taken back; the last ones come first."""
        self._undos.append(undo)

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but one record: that needs no draft to be refused."""
        return len(self.records) == 1 and not self._undos and not self.planned

    def take_back(self) -> None:
        """Bring everything back to how it was when the draft was begun."""
        while self._undos:
            self._undos.pop()()
        self.records.clear()
        self.owners.clear()

    def _restore(self, mapping: MutableMapping[_Key, _Value], key: _Key) -> None:
        """When the draft is taken back, an item is to be as it is now."""
        if key in mapping:
            self.on_refusal(partial(mapping.__setitem__, key, mapping[key]))
        else:
            self.on_refusal(partial(mapping.pop, key, None))
