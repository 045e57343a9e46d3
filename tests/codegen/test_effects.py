"""What a program may do to a frame, as the engine needs it for super-frames and checksums."""

from __future__ import annotations

from typing import Any

import pytest

from p4native.bmv2.reader import read_program
from p4native.codegen.context import make_context
from p4native.codegen.effects import effects

from . import builder as b

ETH = [("dst", 48), ("src", 48), ("type", 16)]
IPV4 = [("version", 4), ("ihl", 4), ("tos", 8), ("len", 16), ("id", 16), ("flags", 3),
        ("frag", 13), ("ttl", 8), ("proto", 8), ("sum", 16), ("src", 32), ("dst", 32)]  # fmt: skip
IPV6 = [("version", 4), ("tc", 8), ("flow", 20), ("len", 16), ("next", 8), ("hops", 8),
        ("src", 128), ("dst", 128)]  # fmt: skip
TCP = [("sport", 16), ("dport", 16), ("seq", 32), ("ack", 32), ("off", 4), ("res", 4),
       ("flags", 8), ("window", 16), ("sum", 16), ("urgent", 16)]  # fmt: skip
UDP = [("sport", 16), ("dport", 16), ("len", 16), ("sum", 16)]
TYPES: dict[str, list[Any]] = {"eth_t": ETH, "ip_t": IPV4, "ip6_t": IPV6, "tcp_t": TCP,
                               "udp_t": UDP}  # fmt: skip
HEADERS = {"eth": "eth_t", "ip": "ip_t", "ip6": "ip6_t", "tcp": "tcp_t", "udp": "udp_t",
           "outer": "ip_t"}  # fmt: skip


def found(body: list[b.Json], **extra: Any) -> set[str]:
    json = b.program(TYPES, HEADERS, [*body, b.SEND], **extra)
    names = effects(make_context(read_program(json)))
    return {name.removeprefix("P4N_") for name in names}


def put(header: str, name: str, value: b.Json | None = None) -> b.Json:
    return b.assign(b.fld(header, name), value or b.const(1))


def checksum(inputs: list[b.Json], *, update: bool, target: tuple[str, str]) -> dict[str, Any]:
    return {
        "calculations": [{"name": "c", "id": 0, "algo": "csum16", "input": inputs}],
        "checksums": [{"name": "s", "id": 0, "type": "generic", "target": list(target),
                       "calculation": "c", "update": update, "verify": not update,
                       "if_cond": None}],
    }  # fmt: skip


IP_INPUTS = [b.fld("ip", n) for n in ("version", "ihl", "tos", "len", "id", "flags", "frag",
                                      "ttl", "proto", "src", "dst")]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([put("eth", "dst")], set()),
        ([put("ip", "ttl")], {"WRITES_L3"}),
        ([put("ip6", "hops")], {"WRITES_L3"}),
        ([put("tcp", "dport")], {"WRITES_L4"}),
        ([put("tcp", "sum")], {"WRITES_L4", "WRITES_L4_CSUM"}),
        ([put("udp", "len")], {"WRITES_L4", "WRITES_LENGTH"}),
        ([put("eth", "type", b.fld("udp", "sum"))], {"READS_L4_CSUM"}),
        ([put("eth", "type", b.fld("ip", "len"))], {"READS_LENGTH"}),
        ([put("eth", "type", b.fld("ip", "id"))], {"READS_IP_ID"}),
        ([put("eth", "type", b.fld("standard_metadata", "packet_length"))], {"READS_LENGTH"}),
        ([b.call("add_header", b.header("outer"))], {"CHANGES_LENGTH"}),
        ([b.call("remove_header", b.header("ip"))], {"CHANGES_LENGTH"}),
        ([b.call("truncate", b.const(64))], {"CHANGES_LENGTH"}),
    ],
)
def test_primitives(body: list[b.Json], expected: set[str]) -> None:
    assert found(body) == expected


def test_ip_checksum_needs_nothing_completed() -> None:
    """It covers the header only, which every frame has whole."""
    assert found([], **checksum(IP_INPUTS, update=True, target=("ip", "sum"))) == {"WRITES_L3"}


@pytest.mark.parametrize("update", [True, False])
def test_payload_checksum(update: bool) -> None:
    inputs = [b.fld("ip", "src"), b.fld("ip", "dst"), {"type": "payload"}]
    names = found([], **checksum(inputs, update=update, target=("tcp", "sum")))
    assert "READS_PAYLOAD" in names
    assert ("WRITES_L4_CSUM" in names) == update
    assert ("READS_L4_CSUM" in names) == (not update)


def test_hash_over_a_checksum_reads_it() -> None:
    body = [b.call("modify_field_with_hash_based_offset", b.fld("eth", "type"), b.const(0),
                   {"type": "calculation", "value": "c"}, b.const(16))]  # fmt: skip
    calculations = [{"name": "c", "id": 0, "algo": "crc32", "input": [b.fld("tcp", "sum")]}]
    assert found(body, calculations=calculations) == {"READS_L4_CSUM"}


@pytest.mark.parametrize(("inner", "expected"), [("udp", True), ("eth", False)])
def test_a_field_behind_tcp_is_payload(inner: str, expected: bool) -> None:
    """A header that is parsed behind TCP and used; one that is only skipped does not count."""
    states = [b.state("start", 0, [b.extract("tcp"), b.extract(inner)])]
    names = found([put("ip", "ttl", b.fld("udp", "sport"))], states=states)
    assert ("READS_PAYLOAD" in names) == expected
