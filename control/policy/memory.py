"""What was worked out lately, so that a change costs what has changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Memory(Generic[_K, _V]):
    """A dictionary that forgets the oldest of more than ``size`` values."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: dict[_K, _V] = {}

    def get(self, key: _K) -> _V | None:
        """The value of a key, or None."""
        return self._values.get(key)

    def put(self, key: _K, value: _V) -> None:
        """Remember a value."""
        while key not in self._values and len(self._values) >= self._size:
            del self._values[next(iter(self._values))]
        self._values[key] = value

    def recall(self, key: _K, make: Callable[[], _V]) -> _V:
        """The value of a key, made now if it is not known."""
        value = self._values.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value
