"""Byte strings as P4Runtime sends them (spec, "Bytestrings") and as the tables hold them.

On the wire an integer is big-endian, of any length, canonically the shortest. In a table it is
right-aligned in ceil(width / 8) bytes.
"""

from __future__ import annotations

from p4native.p4runtime.errors import P4RuntimeError, invalid_argument, out_of_range

SDN_PORT_CPU = 0xFFFFFFFD
"""The device-independent name of the CPU port (spec, "Translation of Port Numbers")."""


def byte_width(bits: int) -> int:
    """Return the number of bytes that hold `bits` bits."""
    return (bits + 7) // 8


def canonical(data: bytes) -> bytes:
    """Return the shortest byte string of the same unsigned value."""
    return data.lstrip(b"\0") or b"\0"


def encode(value: int) -> bytes:
    """Return the canonical byte string of an unsigned value."""
    return value.to_bytes(max(1, byte_width(value.bit_length())), "big")


def decode(data: bytes, bits: int, what: str) -> int:
    """Return the unsigned value of `data`; OUT_OF_RANGE if empty or wider than `bits`."""
    value = int.from_bytes(data, "big")
    if not data or value >> bits:
        raise width_error(data, bits, what)
    return value


def fit(data: bytes, bits: int, what: str) -> bytes:
    """Return `data` right-aligned in ceil(bits / 8) bytes; OUT_OF_RANGE if empty or too wide."""
    return decode(data, bits, what).to_bytes(byte_width(bits), "big")


def width_error(data: bytes, bits: int, what: str) -> P4RuntimeError:
    """Return the OUT_OF_RANGE error for a byte string that is empty or too wide."""
    if not data:
        return out_of_range(f"{what}: empty byte string, expected a value of bit<{bits}>")
    return out_of_range(f"{what}: value 0x{data[:32].hex()} does not fit bit<{bits}>")


def encode_signed(value: int) -> bytes:
    """Return the canonical two's complement byte string of a signed value."""
    magnitude = value if value >= 0 else ~value
    return value.to_bytes(magnitude.bit_length() // 8 + 1, "big", signed=True)


def decode_signed(data: bytes, bits: int, what: str) -> int:
    """Return the signed value of `data`; OUT_OF_RANGE if empty or outside of int<bits>."""
    if not data:
        raise out_of_range(f"{what}: empty byte string, expected a value of int<{bits}>")
    value = int.from_bytes(data, "big", signed=True)
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise out_of_range(f"{what}: value {value} does not fit int<{bits}>")
    return value


def decode_port(data: bytes, cpu_port: int | None, what: str) -> int:
    """Return the data plane port for an SDN port number given as a byte string."""
    value = decode(data, 32, what)
    if value == SDN_PORT_CPU:
        if cpu_port is None:
            raise invalid_argument(f"{what}: CPU port named, but the switch has no --cpu-port")
        return cpu_port
    return value
