"""Random batches whose updates depend on each other, against the same updates one by one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from finsy.proto import p4r

from .builder import DELETE, INSERT, MODIFY, Builder, clone_session, meter_config, multicast
from .client import Client
from .conftest import Lab
from .targets import NativeSwitch
from .test_write_read import MIXED, dump, update

pytestmark = [pytest.mark.native_only, pytest.mark.slow]
BATCHES = 80


class Dice:
    """Draws updates of few different objects, so that they meet."""

    def __init__(self, build: Builder, seed: int) -> None:
        self.build, self._random = build, random.Random(seed)
        self._kinds: tuple[Callable[[int, int], p4r.Entity], ...] = (
            self._exact, self._ternary, self._metered, self._indirect, self._member, self._group,
            lambda n, v: multicast(n, (v % 9, v), (10, v)),
            lambda n, v: clone_session(n, (v % 9, v)),
            lambda n, v: build.digest("learn_t", n, v, v),
        )  # fmt: skip
        self._cells: tuple[Callable[[int, int], p4r.Entity], ...] = (
            self._default, self._direct_counter, self._direct_meter,
            lambda n, v: build.register("values", self._either(None, n), v),
            lambda n, v: build.counter("port_counter", self._either(None, n), v),
            lambda n, v: build.meter("port_meter", n, self._either(None, (v, v, v, v))),
            lambda n, _: build.value_set("special_types", *[(i,) for i in range(n)]),
        )  # fmt: skip

    def batch(self) -> list[p4r.Update]:
        return [self._update() for _ in range(self._random.randint(1, 6))]

    def _update(self) -> p4r.Update:
        number, value = self._random.randint(1, 3), self._random.randint(1, 199)
        if self._random.random() < 0.35:
            return update(MODIFY, self._random.choice(self._cells)(number, value))
        kind = self._either(INSERT, MODIFY, DELETE)
        return update(kind, self._random.choice(self._kinds)(number, value))

    def _either(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _forward(self, value: int) -> p4r.Action:
        return self.build.action("forward", port=value)

    def _exact(self, n: int, v: int) -> p4r.Entity:
        action = self._either(self._forward(v), None)
        counted = self._either(p4r.CounterData(packet_count=v), None)
        match = {"dst": n, "port": 1}
        return self.build.entry("exact_table", match, action, counter_data=counted)

    def _ternary(self, n: int, v: int) -> p4r.Entity:
        action = self._either(self._forward(v), None)
        return self.build.entry("ternary_table", {"port": n}, action, priority=self._either(1, 2))

    def _metered(self, n: int, v: int) -> p4r.Entity:
        config = self._either(meter_config(v, v, v, v), None)
        action = self._either(self.build.action("metered"), None)
        return self.build.entry("metered_table", {"src": n}, action, meter_config=config)

    def _member(self, n: int, v: int) -> p4r.Entity:
        return self.build.member("spread", n, self._forward(v))

    def _group(self, n: int, v: int) -> p4r.Entity:
        members = self._random.sample((1, 2, 3), v % 4)
        return self.build.group("spread", n, *[(m, self._either(1, 2), None) for m in members])

    def _indirect(self, n: int, v: int) -> p4r.Entity:
        one_shot = self.build.one_shot(*[(self._forward(v), 1)] * (1 + v % 2))
        member = p4r.TableAction(action_profile_member_id=1 + v % 3)
        group = p4r.TableAction(action_profile_group_id=1 + v % 3)
        action = self._either(one_shot, one_shot, member, group, None)
        return self.build.entry("selector_table", {"key": n}, action, metadata=bytes((v,)))

    def _default(self, _n: int, v: int) -> p4r.Entity:
        action, table = self._either(self._forward(v), None), self._either("exact", "ternary")
        return self.build.entry(f"{table}_table", None, action, is_default_action=True)

    def _direct_counter(self, n: int, v: int) -> p4r.Entity:
        default = self.build.entry("exact_table", is_default_action=True)
        entry = self._either(self._exact(n, v), self._ternary(n, v), default).table_entry
        asked = p4r.TableEntry(
            table_id=entry.table_id, match=entry.match, priority=entry.priority,
            is_default_action=entry.is_default_action,
        )  # fmt: skip
        data = p4r.CounterData(packet_count=v)
        return p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=asked, data=data))

    def _direct_meter(self, n: int, v: int) -> p4r.Entity:
        default = self.build.entry("metered_table", is_default_action=True)
        entry = self._either(self.build.entry("metered_table", {"src": n}), default).table_entry
        config = self._either(meter_config(v, v, v, v), None)
        return p4r.Entity(direct_meter_entry=p4r.DirectMeterEntry(table_entry=entry, config=config))


@pytest.fixture
def twin(lab: Lab) -> Iterator[Client]:
    """The primary of another switch with the same program."""
    switch = NativeSwitch()
    client = Client(switch.address)
    client.lead(1)
    client.set_pipeline(lab.program.config())
    yield client
    client.close()
    switch.stop()


def everything(client: Client) -> list[bytes]:
    """All that there is, with the direct resources of entries and defaults."""
    found: list[p4r.Entity] = []
    for entry in (p4r.TableEntry(), p4r.TableEntry(is_default_action=True)):
        counters = p4r.DirectCounterEntry(table_entry=entry)
        meters = p4r.DirectMeterEntry(table_entry=entry)
        found += client.read(p4r.Entity(direct_counter_entry=counters))
        found += client.read(p4r.Entity(direct_meter_entry=meters))
    return [*dump(client), *sorted(e.SerializeToString(deterministic=True) for e in found)]


@pytest.mark.parametrize("atomicity", MIXED)
def test_a_batch_does_what_its_updates_do(lab: Lab, twin: Client, atomicity: str) -> None:
    """One that is refused leaves everything as it was, to the last direct counter."""
    dice, before, refused = Dice(lab.build, seed=1), everything(lab.client), 0
    for _ in range(BATCHES):
        batch = dice.batch()
        try:
            lab.client.write(batch, atomicity)
        except grpc.RpcError:
            refused += 1
            assert everything(lab.client) == before, batch
            continue
        for each in batch:
            twin.write([each])
        before = everything(lab.client)
        assert before == everything(twin), batch
    assert 0 < refused < BATCHES
