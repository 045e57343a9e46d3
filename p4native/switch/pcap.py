"""Reads capture files (classic pcap, Ethernet)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_MAGICS = {
    b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">",
    b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">",
}  # fmt: skip
_ETHERNET = 1
_FILE_HEADER, _RECORD_HEADER = 24, 16


class PcapError(ValueError):
    """The file is not a capture that can be read."""


def read_pcap(path: Path) -> list[bytes]:
    """The frames of a capture file, in order; PcapError or OSError when it cannot be read."""
    data = path.read_bytes()
    order = _MAGICS.get(data[:4])
    if order is None:
        raise PcapError(f"{path}: not a pcap file (pcapng: convert with tcpdump -r F -w G)")
    if len(data) < _FILE_HEADER:
        raise PcapError(f"{path}: cut short in the file header")
    (link,) = struct.unpack_from(f"{order}I", data, 20)
    if link & 0xFFFF != _ETHERNET:
        raise PcapError(f"{path}: link type {link & 0xFFFF}, expected {_ETHERNET} (Ethernet)")
    return list(_records(path, data, order))


def _records(path: Path, data: bytes, order: str) -> Iterator[bytes]:
    at = _FILE_HEADER
    while at < len(data):
        if at + _RECORD_HEADER > len(data):
            raise PcapError(f"{path}: cut short at byte {at}")
        _, _, kept, _ = struct.unpack_from(f"{order}4I", data, at)
        at += _RECORD_HEADER
        if at + kept > len(data):
            raise PcapError(f"{path}: cut short at byte {at}")
        yield data[at : at + kept]
        at += kept
