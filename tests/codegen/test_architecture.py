"""simple_switch's architecture: what each copy of a frame carries and where it goes."""

from __future__ import annotations

import binascii
from pathlib import Path
from typing import Any

import pytest

from p4native.bmv2.reader import read_program

from . import builder as b
from .harness import Harness

# op: what to do; then what the last pass saw.
TYPES = {
    "h_t": [("op", 8), ("count", 8), ("instance", 8), ("port", 16), ("rid", 8), ("length", 16),
            ("kept", 8), ("lost", 8)],
}  # fmt: skip
META = [("kept", 8), ("lost", 8)]
SIZE = 10
KEPT = 2  # field list
STD = "standard_metadata"
DROP_INGRESS, DROP_EGRESS, DROP_MULTICAST, DROP_LOOP, DROP_ASSERT = 0, 1, 2, 4, 7


def on(op: int, *calls: b.Json) -> list[b.Json]:
    """Calls that run when h.op is `op`."""
    return [("if", b.op("==", b.fld("h", "op"), b.const(op)), calls)]  # type: ignore[list-item]


def flatten(items: list[Any]) -> list[b.Json]:
    """Turns ("if", condition, calls) into jumps, as p4c does."""
    out: list[b.Json] = []
    for item in items:
        if isinstance(item, dict):
            out.append(item)
            continue
        _, condition, calls = item
        body = flatten(list(calls))
        test = {"type": "expression", "value": b.op("b2d", None, condition)}
        end = b.const(len(out) + 1 + len(body))
        out.append(b.call("_jump_if_zero", test, end))
        out.extend(body)
    return out


def see() -> list[b.Json]:
    """Records what egress sees in the header."""
    pairs = [("instance", "instance_type"), ("port", "egress_port"), ("rid", "egress_rid"),
             ("length", "packet_length")]  # fmt: skip
    body = [b.assign(b.fld("h", to), b.fld(STD, source)) for to, source in pairs]
    body += [b.assign(b.fld("h", n), b.fld("meta", n)) for n in ("kept", "lost")]
    return body


def make(tmp_path: Path, ingress: list[Any], egress: list[Any] = ()) -> Harness:  # type: ignore[assignment]
    json = b.program(
        TYPES, {"h": "h_t"}, flatten(ingress), egress=flatten([*see(), *egress]), metadata=META,
        field_lists=[{"id": KEPT, "name": "keep", "elements": [b.fld("meta", "kept")]},
                     {"id": 1, "name": "none", "elements": []}],
        field_aliases=[
            ["intrinsic_metadata.mcast_grp", [STD, "mcast_grp"]],
            ["intrinsic_metadata.egress_rid", [STD, "egress_rid"]],
        ],
    )  # fmt: skip
    return Harness(read_program(json), tmp_path)


def frame(op: int, count: int = 0) -> bytes:
    return bytes([op, count]) + bytes(SIZE - 2) + b"payload"


def view(sent: list[tuple[int, bytes]]) -> list[dict[str, int]]:
    """What each frame says, and the port it really left by."""
    rows = []
    for port, data in sent:
        rows.append({
            "out": port, "op": data[0], "count": data[1], "instance": data[2],
            "port": int.from_bytes(data[3:5], "big"), "rid": data[5],
            "length": int.from_bytes(data[6:8], "big"), "kept": data[8], "lost": data[9],
        })  # fmt: skip
    return rows


def to(port: int) -> b.Json:
    return b.assign(b.fld(STD, "egress_spec"), b.const(port))


MARK = [b.assign(b.fld("meta", "kept"), b.const(7)), b.assign(b.fld("meta", "lost"), b.const(9))]
COUNT = b.assign(b.fld("h", "count"), b.op("+", b.fld("h", "count"), b.const(1)))


def test_unicast(tmp_path: Path) -> None:
    rows = view(make(tmp_path, [*MARK, to(3)]).send(frame(0)))
    assert rows == [
        {"out": 3, "op": 0, "count": 0, "instance": 0, "port": 3, "rid": 0, "length": SIZE + 7,
         "kept": 7, "lost": 9}
    ]  # fmt: skip


def test_drops(tmp_path: Path) -> None:
    """mark_to_drop in ingress clears the multicast group; in egress it drops the copy."""
    drop = b.call("mark_to_drop", b.header(STD))
    group = b.assign(b.fld(STD, "mcast_grp"), b.const(1))
    harness = make(
        tmp_path,
        [to(3), *on(1, group, drop), *on(2, drop, to(4)), *on(4, to(511))],
        on(3, drop),
    )
    harness.group(1, [5, 6])
    assert harness.send(frame(1)) == []
    assert [r["out"] for r in view(harness.send(frame(2)))] == [4]
    assert harness.send(frame(3)) == []
    assert harness.send(frame(4)) == []
    assert (harness.drops(DROP_INGRESS), harness.drops(DROP_EGRESS)) == (2, 1)
    assert harness.live() == 0


def test_multicast(tmp_path: Path) -> None:
    harness = make(tmp_path, [*MARK, COUNT, b.assign(b.fld(STD, "mcast_grp"), b.const(9)), to(3)])
    harness.group(9, [4, 5, 6])
    rows = view(harness.send(frame(0)))
    assert [(r["out"], r["port"], r["rid"]) for r in rows] == [(4, 4, 1), (5, 5, 2), (6, 6, 3)]
    assert {(r["instance"], r["count"], r["kept"]) for r in rows} == {(5, 1, 7)}
    assert harness.live() == 0


def test_empty_group_drops(tmp_path: Path) -> None:
    harness = make(tmp_path, [b.assign(b.fld(STD, "mcast_grp"), b.const(8))])
    assert harness.send(frame(0)) == []
    assert harness.drops(DROP_MULTICAST) == 1


def test_ingress_clone_is_the_frame_as_it_arrived(tmp_path: Path) -> None:
    clone = b.call("clone_ingress_pkt_to_egress", b.const(0), b.const(KEPT))
    harness = make(tmp_path, [*MARK, COUNT, clone, to(3)])
    harness.group(0, [11], clone=True)
    copy, original = view(harness.send(frame(0)))
    assert (copy["out"], copy["instance"], copy["count"]) == (11, 1, 0)
    assert (copy["kept"], copy["lost"], copy["length"]) == (7, 0, SIZE + 7)
    assert (original["out"], original["instance"], original["count"]) == (3, 0, 1)


def test_clone_without_session(tmp_path: Path) -> None:
    clone = b.call("clone_ingress_pkt_to_egress", b.const(77), b.const(KEPT))
    assert [r["out"] for r in view(make(tmp_path, [clone, to(3)]).send(frame(0)))] == [3]


def test_clone_of_a_dropped_frame(tmp_path: Path) -> None:
    clone = b.call("clone_ingress_pkt_to_egress", b.const(5), b.const(1))
    drop = b.call("mark_to_drop", b.header(STD))
    harness = make(tmp_path, [clone, drop])
    harness.group(5, [1, 2], clone=True)
    assert [r["out"] for r in view(harness.send(frame(0)))] == [1, 2]


def test_egress_clone_has_the_changed_headers(tmp_path: Path) -> None:
    """The copy goes through egress once more, with its own instance type."""
    clone = b.call("clone_egress_pkt_to_egress", b.const(5), b.const(KEPT))
    first = b.op("==", b.fld(STD, "instance_type"), b.const(0))
    harness = make(tmp_path, [*MARK, to(3)], [COUNT, ("if", first, [clone])])
    harness.group(5, [12], clone=True)
    original, copy = view(harness.send(frame(0)))
    assert (original["out"], original["count"]) == (3, 1)
    assert (copy["out"], copy["instance"], copy["count"]) == (12, 2, 2)
    assert (copy["kept"], copy["lost"]) == (7, 0)


def test_resubmit_starts_from_the_original(tmp_path: Path) -> None:
    again = b.call("resubmit", b.const(KEPT))
    first = b.op("==", b.fld(STD, "instance_type"), b.const(0))
    harness = make(tmp_path, [COUNT, ("if", first, [*MARK, again]), to(3)])
    rows = view(harness.send(frame(0)))
    assert [(r["count"], r["kept"], r["lost"], r["instance"]) for r in rows] == [(1, 7, 0, 0)]


def test_recirculate_keeps_changes(tmp_path: Path) -> None:
    again = b.call("recirculate", b.const(KEPT))
    few = b.op("<", b.fld("h", "count"), b.const(3))
    harness = make(tmp_path, [COUNT, *MARK, to(3)], [("if", few, [again])])
    rows = view(harness.send(frame(0)))
    assert [(r["out"], r["count"]) for r in rows] == [(3, 3)]
    assert harness.live() == 0


def test_endless_recirculation_gives_others_their_turn(tmp_path: Path) -> None:
    harness = make(tmp_path, [COUNT, to(3)], on(1, b.call("recirculate", b.const(1))))
    for _ in range(300):
        harness.send(frame(1))
    assert len(harness.send(frame(0))) == 1
    assert harness.live() == 256
    assert harness.drops(DROP_LOOP) == 44
    harness.lib.harness_flush(harness.handle)
    assert harness.live() == 0


def test_truncate(tmp_path: Path) -> None:
    """The shortest length wins; a multicast copy is whole again, as in BMv2."""
    cut = [b.call("truncate", b.const(SIZE + 5)), b.call("truncate", b.const(SIZE + 2))]
    group = b.assign(b.fld(STD, "mcast_grp"), b.const(1))
    harness = make(tmp_path, [*cut, to(3), *on(1, group)])
    harness.group(1, [5])
    assert [len(d) for _, d in harness.send(frame(0))] == [SIZE + 2]
    assert [len(d) for _, d in harness.send(frame(1))] == [SIZE + 7]


def test_failed_assertion_drops_and_says_so(tmp_path: Path) -> None:
    check = b.call("assert", {"type": "expression", "value": b.op(
        "b2d", None, b.op("!=", b.fld("h", "op"), b.const(1)))})  # fmt: skip
    harness = make(tmp_path, [check, to(3)])
    assert len(harness.send(frame(0))) == 1
    assert harness.send(frame(1)) == []
    assert harness.drops(DROP_ASSERT) == 1
    assert "Assert error" in harness.log()


def test_log_message(tmp_path: Path) -> None:
    values = {"type": "parameters_vector", "value": [b.fld("h", "op"), b.fld(STD, "ingress_port")]}
    text = {"type": "string", "value": 'op "{}" from {} \\{as is\\}'}
    harness = make(tmp_path, [b.call("log_msg", text, values), to(3)])
    harness.send(frame(200), port=9)
    assert harness.log() == 'op "200" from 9 {as is}\n'


# --- state and hashes -----------------------------------------------------------------------------


def simple(tmp_path: Path, body: list[b.Json], fields: list[Any], **extra: Any) -> Harness:
    json = b.program({"h_t": fields}, {"h": "h_t"}, [*body, b.SEND], **extra)
    return Harness(read_program(json), tmp_path)


def test_register_cells_of_any_width(tmp_path: Path) -> None:
    """Read, then write, at an index from the frame; an index outside changes nothing."""
    widths = [1, 8, 13, 48, 64, 72, 200]
    fields = [("index", 8), *[(f"f{w}", w) for w in widths], ("pad", 2)]
    registers = [{"name": f"r{w}", "id": i, "size": 4, "bitwidth": w}
                 for i, w in enumerate(widths)]  # fmt: skip
    body = []
    for w in widths:
        reg = {"type": "register_array", "value": f"r{w}"}
        body.append(b.assign(b.fld("meta", f"t{w}"), b.fld("h", f"f{w}")))
        body.append(b.call("register_read", b.fld("h", f"f{w}"), reg, b.fld("h", "index")))
        body.append(b.call("register_write", reg, b.fld("h", "index"), b.fld("meta", f"t{w}")))
    harness = simple(tmp_path, body, fields, metadata=[(f"t{w}", w) for w in widths],
                     register_arrays=registers)  # fmt: skip
    total = sum(f[1] for f in fields) // 8 - 1
    one, two = bytes(range(100, 100 + total)), bytes(range(200, 200 + total))
    mask = (1 << total * 8) - 4
    clean = [(int.from_bytes(x, "big") & mask).to_bytes(total, "big") for x in (one, two)]
    pads = [int.from_bytes(x, "big") & 3 for x in (one, two)]
    assert harness.send(b"\x03" + one)[0][1] == b"\x03" + bytes(total - 1) + bytes([pads[0]])
    second = harness.send(b"\x03" + two)[0][1]
    expected = int.from_bytes(clean[0], "big") | pads[1]
    assert second == b"\x03" + expected.to_bytes(total, "big")
    assert harness.send(b"\x04" + one)[0][1] == b"\x04" + one


def crc16(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def csum16(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def xor16(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total = 0
    for i in range(0, len(data), 2):
        total ^= int.from_bytes(data[i : i + 2], "big")
    return total


ALGORITHMS = {
    "crc16": crc16,
    "crc16_custom": crc16,
    "crc32": binascii.crc32,
    "crc32_custom": binascii.crc32,
    "crcCCITT": lambda data: binascii.crc_hqx(data, 0xFFFF),
    "csum16": csum16,
    "xor16": xor16,
    "identity": lambda data: int.from_bytes(data[:8], "big"),
}


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_hashes(tmp_path: Path, algo: str) -> None:
    """Whole bytes, odd bits (padded behind), and the payload behind an odd number of bytes."""
    fields = [("a", 3), ("b", 13), ("c", 48), ("d", 8), ("r1", 64), ("r2", 64), ("r3", 64)]
    inputs = [
        [b.fld("h", n) for n in "abcd"],
        [b.fld("h", "b"), {"type": "hexstr", "value": "0x5", "bitwidth": 4}, b.fld("h", "a")],
        [b.fld("h", "d"), {"type": "payload"}],
    ]
    calculations = [{"name": f"calc{i}", "id": i, "algo": algo, "input": x}
                    for i, x in enumerate(inputs)]  # fmt: skip
    body = [
        b.call("modify_field_with_hash_based_offset", b.fld("h", f"r{i + 1}"), b.const(5),
               {"type": "calculation", "value": f"calc{i}"}, b.const(1 << 63))
        for i in range(3)
    ]  # fmt: skip
    harness = simple(tmp_path, body, fields, calculations=calculations)
    head, payload = bytes(range(1, 10)), b"some payload of odd length!"
    out = harness.send(head + bytes(24) + payload)[0][1]
    bits = int.from_bytes(head[:2], "big")
    mixed = ((bits & 0x1FFF) << 7 | 5 << 3 | bits >> 13) << 4
    expected = [head, mixed.to_bytes(3, "big"), head[8:9] + payload]
    got = [int.from_bytes(out[9 + 8 * i : 17 + 8 * i], "big") for i in range(3)]
    compute = ALGORITHMS[algo]
    assert got == [(compute(data) % (1 << 63) + 5) % (1 << 64) for data in expected]


@pytest.mark.parametrize("payload", [b"", b"x", b"even", bytes(range(255))])
def test_checksum_verified_and_updated(tmp_path: Path, payload: bytes) -> None:
    """An Internet checksum with payload: wrong ones set checksum_error, all leave right."""
    fields = [("a", 16), ("sum", 16), ("b", 32), ("error", 8), ("c", 24)]
    inputs = [b.fld("h", "a"), b.fld("h", "b"), b.fld("h", "c"),
              {"type": "hexstr", "value": "0x11", "bitwidth": 8}, {"type": "payload"}]  # fmt: skip
    checksums = [
        {"name": n, "id": i, "type": "generic", "target": ["h", "sum"], "calculation": "calc",
         "update": i == 1, "verify": i == 0, "if_cond": None}
        for i, n in enumerate(["check", "make"])
    ]  # fmt: skip
    calculation = {"name": "calc", "id": 0, "algo": "csum16", "input": inputs}
    body = [b.assign(b.fld("h", "error"), b.fld("standard_metadata", "checksum_error"))]
    harness = simple(tmp_path, body, fields, checksums=checksums,
                     calculations=[calculation])  # fmt: skip
    covered = bytes([1, 2]) + bytes([3, 4, 5, 250]) + bytes([7, 8, 9]) + b"\x11" + payload
    good = csum16(covered).to_bytes(2, "big")
    for given, error in ((good, 0), (b"\xde\xad", 1)):
        out = harness.send(bytes([1, 2]) + given + covered[2:6] + b"\x07" + covered[6:9] + payload)
        expected = bytes([1, 2]) + good + covered[2:6] + bytes([error]) + covered[6:9] + payload
        assert out == [(1, expected)]


def test_digest_record(tmp_path: Path) -> None:
    fields = [("a", 4), ("b", 12), ("c", 100), ("d", 4), ("e", 128)]
    lists = [{"id": 1, "name": "d", "elements": [b.fld("h", n) for n in "bce"]}]
    learn = b.call("generate_digest", b.const(0), b.const(1))
    harness = simple(tmp_path, [learn], fields, learn_lists=lists)
    value = int.from_bytes(bytes(range(31)), "big")
    harness.send(value.to_bytes(31, "big"))
    parts = {}
    for name, width in reversed(fields):
        parts[name], value = value & ((1 << width) - 1), value >> width
    expected = [(parts["b"], 2), (parts["c"], 13), (parts["e"], 16)]
    assert harness.digest() == b"".join(v.to_bytes(n, "big") for v, n in expected)


def test_random_stays_in_its_range(tmp_path: Path) -> None:
    fields = [("lo", 8), ("hi", 8), ("r", 8)]
    call = b.call("modify_field_rng_uniform", b.fld("h", "r"), b.fld("h", "lo"), b.fld("h", "hi"))
    harness = simple(tmp_path, [call], fields)
    seen = {harness.send(bytes([5, 8, 0]))[0][1][2] for _ in range(200)}
    assert seen == {5, 6, 7, 8}
    assert harness.send(bytes([9, 3, 77])) == [(1, bytes([9, 3, 77]))]
