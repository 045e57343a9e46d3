"""Preprocessor macros given on a command line."""

from __future__ import annotations

from collections.abc import Iterable


def macros(definitions: Iterable[str]) -> dict[str, str]:
    """Macros from NAME and NAME=VALUE; 1 where there is no `=`, as in C."""
    parts = (text.partition("=") for text in definitions)
    return {name: value if equals else "1" for name, equals, value in parts}
