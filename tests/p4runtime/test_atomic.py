"""DATAPLANE_ATOMIC: batches of any entities, whole or not at all, for packets too."""

from __future__ import annotations

import itertools
import select
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import pytest
from finsy.proto import p4r

from .builder import DELETE, INSERT, MODIFY, Builder, clone_session, mark_of, multicast, probe
from .client import Client
from .conftest import Lab
from .programs import Program
from .targets import NativePorts, _raw_socket, _take, raw_sockets
from .test_write_read import MIXED, dump, refused, small, update


def to_member(lab: Lab, table: str, key: int, member: int) -> p4r.Entity:
    entity = lab.build.entry(table, {"key": key})
    entity.table_entry.action.action_profile_member_id = member
    return entity


def to_group(lab: Lab, key: int, group: int) -> p4r.Entity:
    entity = lab.build.entry("selector_table", {"key": key})
    entity.table_entry.action.action_profile_group_id = group
    return entity


def one_of_each(lab: Lab) -> list[p4r.Update]:
    """Updates of every kind of entity, of which many build on one before."""
    build, forward = lab.build, lab.build.action("forward", port=1)
    mark = build.action("mark", value=1)
    default = build.entry("exact_table", None, forward, is_default_action=True)
    metered = build.entry("metered_table", {"src": 1}, build.action("metered"))
    counted = build.entry("exact_table", {"dst": 9, "port": 9}, forward)
    exact = p4r.TableEntry(table_id=counted.table_entry.table_id, match=counted.table_entry.match)
    direct = p4r.TableEntry(table_id=metered.table_entry.table_id, match=metered.table_entry.match)
    return [
        update(INSERT, small(lab, 2)),
        update(DELETE, small(lab, 1)),
        update(MODIFY, default),
        update(INSERT, build.entry("ternary_table", {"port": 3}, forward, priority=7)),
        update(MODIFY, build.entry("ternary_table", {"port": 3}, priority=7, metadata=b"kept")),
        update(INSERT, build.entry("lpm_table", {"value": (0x0A000000, 8)}, forward)),
        update(INSERT, metered),
        update(MODIFY, p4r.Entity(direct_meter_entry=p4r.DirectMeterEntry(
            table_entry=direct, config=p4r.MeterConfig(cir=1, cburst=2, pir=3, pburst=4)))),
        update(INSERT, counted),
        update(MODIFY, p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(
            table_entry=exact, data=p4r.CounterData(packet_count=5, byte_count=6)))),
        update(MODIFY, build.counter("port_counter", None, 3)),
        update(MODIFY, build.meter("port_meter", 1, (1, 1, 2, 2))),
        update(MODIFY, build.register("values", 2, 8)),
        update(MODIFY, build.value_set("special_types", (5,))),
        update(INSERT, build.digest("learn_t", 1, 0, 0)),
        update(INSERT, multicast(2, (3, 3))),
        update(MODIFY, multicast(2, (3, 4))),
        update(DELETE, multicast(1)),
        update(INSERT, clone_session(7, (3, 3))),
        update(MODIFY, build.group("spread", 1, 1)),
        update(DELETE, build.member("spread", 2)),
        update(INSERT, build.member("spread", 3, forward)),
        update(INSERT, build.group("spread", 2, 3)),
        update(INSERT, to_group(lab, 4, 2)),
        update(MODIFY, to_member(lab, "selector_table", 4, 1)),
        update(DELETE, build.group("spread", 2)),
        update(DELETE, build.member("spread", 3)),
        update(INSERT, build.member("profile", 1, mark)),
        update(INSERT, to_member(lab, "profile_table", 4, 1)),
    ]  # fmt: skip


def prepare(lab: Lab) -> None:
    build, forward = lab.build, lab.build.action("forward", port=1)
    lab.client.insert(
        build.member("spread", 1, forward), build.member("spread", 2, forward), multicast(1, (1, 1))
    )
    lab.client.insert(build.group("spread", 1, 1, 2), small(lab, 1))


@pytest.mark.bmv2_gap("ROLLBACK and ATOMIC are UNIMPLEMENTED")
@pytest.mark.parametrize("atomicity", MIXED)
def test_a_mixed_batch_is_refused_whole(lab: Lab, atomicity: str) -> None:
    """The engine finds the fault in the last update, after all the others have worked."""
    prepare(lab)
    before = dump(lab.client)
    updates = [*one_of_each(lab), update(INSERT, to_member(lab, "profile_table", 5, 2))]
    codes = refused(lab, updates, atomicity)
    assert codes[-1] == "NOT_FOUND"
    assert set(codes[:-1]) == {"ABORTED"}
    assert dump(lab.client) == before


@pytest.mark.bmv2_gap("ROLLBACK and ATOMIC are UNIMPLEMENTED")
@pytest.mark.parametrize("atomicity", MIXED)
def test_a_mixed_batch_takes_effect_whole(lab: Lab, atomicity: str) -> None:
    """What it leaves is what the same updates leave one by one."""
    prepare(lab)
    lab.client.write(one_of_each(lab), atomicity)
    together = dump(lab.client)
    lab.client.set_pipeline(lab.program.config())
    prepare(lab)
    for each in one_of_each(lab):
        lab.client.write([each])
    assert dump(lab.client) == together
    counter = p4r.CounterData()
    counted = lab.client.read(
        lab.build.entry("exact_table", {"dst": 9, "port": 9}, counter_data=counter)
    )
    assert counted[0].table_entry.counter_data.packet_count == 5


@pytest.mark.bmv2_gap("ROLLBACK and ATOMIC are UNIMPLEMENTED")
def test_every_faulty_update_gets_its_own_error(lab: Lab) -> None:
    before = dump(lab.client)
    codes = refused(
        lab,
        [
            update(INSERT, multicast(1, (1, 1))),
            update(INSERT, multicast(0, (1, 1))),
            update(MODIFY, lab.build.register("values", 99, 8)),
            update(MODIFY, lab.build.counter("port_counter", 1, 3)),
            update(DELETE, clone_session(9)),
            update(INSERT, p4r.Entity()),
        ],
        "DATAPLANE_ATOMIC",
    )
    wanted = ["ABORTED", "INVALID_ARGUMENT", "OUT_OF_RANGE", "ABORTED", "NOT_FOUND"]
    assert codes == [*wanted, "INVALID_ARGUMENT"]
    assert dump(lab.client) == before
    assert lab.client.read(multicast(0)) == []


@pytest.mark.bmv2_gap("ROLLBACK and ATOMIC are UNIMPLEMENTED")
@pytest.mark.parametrize("atomicity", MIXED)
def test_one_shots_in_one_batch_see_each_other(lab: Lab, atomicity: str) -> None:
    build, forward, drop = lab.build, lab.build.action("forward", port=1), lab.build.action("drop")

    def entry(key: int, *actions: tuple[p4r.Action, int], **fields: Any) -> p4r.Entity:
        return build.entry("selector_table", {"key": key}, build.one_shot(*actions), **fields)

    kept = build.entry("selector_table", {"key": 1}, metadata=b"new")
    updates = [
        update(INSERT, entry(1, (forward, 1))),
        update(MODIFY, entry(1, (forward, 2), (drop, 1), metadata=b"old")),
        update(MODIFY, kept),
        update(INSERT, entry(2, (drop, 1))),
        update(DELETE, entry(2)),
        update(INSERT, entry(2, (drop, 8))),
    ]
    codes = refused(lab, [*updates, update(INSERT, entry(1, (drop, 1)))], atomicity)
    assert codes == ["ABORTED"] * 6 + ["ALREADY_EXISTS"]
    assert lab.client.read(build.entry("selector_table")) == []
    lab.client.write(updates, atomicity)
    wanted = [entry(1, (forward, 2), (drop, 1), metadata=b"new"), entry(2, (drop, 8))]
    assert lab.client.read(build.entry("selector_table")) == wanted
    lab.client.write([update(DELETE, entity) for entity in wanted], atomicity)
    lab.client.insert(build.member("spread", 1, forward))  # nothing of the one-shots is left


@pytest.mark.native_only
def test_a_refused_batch_leaves_meters_as_they_were(lab: Lab) -> None:
    """A meter that has marked frames red goes on doing so: its buckets are not filled anew."""
    lab.client.insert(
        lab.build.entry("exact_table", {"dst": 1, "port": 1}, lab.build.action("forward", port=2)),
        lab.build.entry("metered_table", {"src": 1}, lab.build.action("metered")),
    )
    asked = lab.build.entry("metered_table", {"src": 1}).table_entry
    slow = p4r.DirectMeterEntry(
        table_entry=asked, config=p4r.MeterConfig(cir=1, cburst=1, pir=1, pburst=1)
    )
    fast = p4r.DirectMeterEntry(
        table_entry=asked, config=p4r.MeterConfig(cir=1000, cburst=1000, pir=1000, pburst=1000)
    )
    lab.client.write([update(MODIFY, p4r.Entity(direct_meter_entry=slow))])

    def colour() -> int:
        lab.switch.send(1, probe(dst=1, src=1, op=5))
        return mark_of(lab.switch.receive()[1])

    assert [colour(), colour()] == [0, 2]
    codes = refused(
        lab,
        [update(MODIFY, p4r.Entity(direct_meter_entry=fast)), update(DELETE, small(lab, 1))],
        "DATAPLANE_ATOMIC",
    )
    assert codes == ["ABORTED", "NOT_FOUND"]
    assert colour() == 2


# -- packets that cross --------------------------------------------------------------------------

FLIPS = 200
REPEATS = 400
"""Of an update that changes nothing any more: frames shall meet the batch half done."""
BURST = 24
SOURCES, COPIES, CLONES = (1, 4), 2, 3


def shown_by(build: Builder, state: int, before: int | None) -> list[p4r.Update]:
    """The batch that brings everything that a packet meets from one state to another."""
    first = before is None
    kind = INSERT if first else MODIFY
    mark = build.action("mark", value=state)
    copy, clone = build.action("multicast", group=state), build.action("clone_to", session=state)
    updates = [
        update(INSERT, multicast(state, (COPIES, state))),
        update(INSERT, clone_session(state, (CLONES, state))),
        update(MODIFY, build.register("values", None, state)),
        update(kind, build.member("profile", 1, mark)),
    ]
    for port in SOURCES:
        updates += [
            update(kind, build.entry("exact_table", {"dst": 1, "port": port}, copy)),
            update(kind, build.entry("ternary_table", {"port": port}, clone, priority=1)),
        ]
    if not first:
        updates += updates[-2:-1] * REPEATS
        updates += [update(DELETE, multicast(before)), update(DELETE, clone_session(before))]
    return updates


class Traffic:
    """Frames that enter by two ports and leave as a copy and a clone, each showing its state."""

    def __init__(self, switch: NativePorts) -> None:
        self._in = [_raw_socket(switch.far_end(port)) for port in SOURCES]
        self._copies, self._clones = (_raw_socket(switch.far_end(p)) for p in (COPIES, CLONES))
        self._serial = itertools.count()

    def close(self) -> None:
        for sock in (*self._in, self._copies, self._clones):
            sock.close()

    def burst(self) -> Iterator[set[int]]:
        """Send frames; yield the states that the copies and the clone of each one show."""
        serials = []
        for _ in range(BURST):
            for sock in self._in:
                serials.append(next(self._serial))
                sock.send(probe(dst=1, op=1, key=3)[:-4] + serials[-1].to_bytes(4, "big"))
        copies, clones = (_receive(sock, len(serials)) for sock in (self._copies, self._clones))
        assert sorted(copies) == sorted(clones) == serials
        for serial in serials:
            copy, clone = copies[serial], clones[serial]
            shown = {mark_of(copy), int.from_bytes(copy[16:18], "big")}
            yield shown | {int.from_bytes(copy[18:22], "big"), int.from_bytes(clone[16:18], "big")}


def _receive(sock: socket.socket, count: int) -> dict[int, bytes]:
    """Frames by serial number: `count` of them, or those that came within some seconds."""
    found: dict[int, bytes] = {}
    deadline = time.monotonic() + 5
    while len(found) < count and select.select([sock], [], [], deadline - time.monotonic())[0]:
        frame = _take(sock)
        if frame is not None:
            found[int.from_bytes(frame[-4:], "big")] = frame
    return found


@contextmanager
def flipping(client: Client, build: Builder, atomicity: str) -> Iterator[threading.Event]:
    """Write one state after another while the block runs; the event is set after the last one."""
    over = threading.Event()

    def flip() -> None:
        for number in range(FLIPS):
            client.write(shown_by(build, 2 - number % 2, 1 + number % 2), atomicity)

    with ThreadPoolExecutor(1) as pool:
        flipped = pool.submit(flip)
        flipped.add_done_callback(lambda _: over.set())
        yield over
        flipped.result()


def crossing(entities: Program, atomicity: str, threads: int) -> list[set[int]]:
    """What each frame showed that crossed batches on real ports; none was lost."""
    build, seen = Builder(entities.info), list[set[int]]()
    with (
        NativePorts((*SOURCES, COPIES, CLONES), threads=threads) as switch,
        closing(Client(switch.address)) as client,
        closing(Traffic(switch)) as traffic,
    ):
        client.lead(1)
        client.set_pipeline(entities.config())
        client.write(shown_by(build, 1, None))
        entry = build.entry("profile_table", {"key": 3})
        entry.table_entry.action.action_profile_member_id = 1
        client.insert(entry)
        with flipping(client, build, atomicity) as over:
            while not over.is_set():
                seen.extend(traffic.burst())
    return seen


@pytest.mark.slow
@raw_sockets
@pytest.mark.parametrize("threads", [1, 2])
def test_packets_see_all_of_a_mixed_batch_or_none(entities: Program, threads: int) -> None:
    """A table entry, a member, a register, a multicast group and a clone session."""
    seen = crossing(entities, "DATAPLANE_ATOMIC", threads)
    assert {1} in seen
    assert {2} in seen
    assert [shown for shown in seen if len(shown) > 1] == []


@pytest.mark.slow
@raw_sockets
@pytest.mark.parametrize("atomicity", ["CONTINUE_ON_ERROR", "ROLLBACK_ON_ERROR"])
def test_other_batches_take_effect_in_order(entities: Program, atomicity: str) -> None:
    """A group is there before the first entry names it, until the last one no longer does."""
    assert {1} in crossing(entities, atomicity, threads=2)
