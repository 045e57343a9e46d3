"""C identifiers and literals."""

from __future__ import annotations

import re

_NOT_WORD = re.compile(r"\W+", re.ASCII)


def identifier(*parts: str) -> str:
    """A C identifier from P4 names; not necessarily unique."""
    text = "__".join(_NOT_WORD.sub("_", part).strip("_") for part in parts)
    return text if text and not text[0].isdigit() else f"_{text}"


def unique(name: str, taken: set[str]) -> str:
    """`name`, with a number when it is taken; the result is added to `taken`."""
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    taken.add(candidate)
    return candidate


def c_string(text: str) -> str:
    """A C string literal."""
    out = []
    for byte in text.encode():
        char = chr(byte)
        if char in '"\\':
            out.append("\\" + char)
        elif 32 <= byte < 127 and char != "?":
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return '"' + "".join(out) + '"'


def u64(value: int) -> str:
    """An unsigned 64-bit literal."""
    value &= (1 << 64) - 1
    return f"UINT64_C({value})" if value < 10 else f"UINT64_C(0x{value:x})"


def u128(value: int) -> str:
    """An unsigned 128-bit constant expression."""
    value &= (1 << 128) - 1
    high, low = value >> 64, value & ((1 << 64) - 1)
    return f"(p4n_u128){u64(low)}" if not high else f"((p4n_u128){u64(high)} << 64 | {u64(low)})"


def byte_array(data: bytes) -> str:
    """The initializer of a byte array; never empty, since C forbids that."""
    return "{ " + ", ".join(f"0x{b:02x}" for b in data or b"\0") + " }"
