"""Counters go on when a VM moves, whatever has become of the NIC that it leaves."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from control.errors import NicDownError
from control.ledger import CounterLedger
from control.model import Placement
from control.plane import PortStats
from control.store import Store


class Ports:
    """What one VM's ports have counted, by NIC; a NIC without a number is down."""

    def __init__(self, **counted: int) -> None:
        self.counted = counted
        places = [
            Placement(vm="vm1", nic=nic, vf=0, role="active") for nic in ("nic1", "nic2", "nic3")
        ]
        self.placements = {"vm1": tuple(places)}

    async def port_stats(self, nic: str, ports: list[int]) -> dict[int, PortStats]:
        if nic not in self.counted:
            raise NicDownError(f"{nic} is not connected.")
        return {ports[0]: PortStats(tx_packets=self.counted[nic])}


@pytest.fixture
def ledger() -> CounterLedger:
    return CounterLedger(Store())


def watched(ledger: CounterLedger, **counted: int) -> None:
    fabric: Any = Ports(**counted)
    ledger.watch(fabric)


def total(ledger: CounterLedger, now: int) -> int:
    return ledger.total("vm1", PortStats(tx_packets=now)).tx_packets


async def test_what_others_have_counted_is_left_out(ledger: CounterLedger):
    watched(ledger, nic1=70, nic2=1000)
    await ledger.copy("vm1", "nic1", "nic2")
    await ledger.drop("vm1", "nic1")
    assert total(ledger, 1005) == 75


async def test_a_source_that_is_down(ledger: CounterLedger):
    watched(ledger, nic2=1000)
    await ledger.copy("vm1", "nic1", "nic2")
    await ledger.drop("vm1", "nic1")
    assert total(ledger, 1005) == 5


async def test_a_destination_that_was_tried_before(ledger: CounterLedger):
    watched(ledger, nic1=70, nic2=1000, nic3=400)
    await ledger.copy("vm1", "nic1", "nic3")
    await ledger.copy("vm1", "nic1", "nic2")
    await ledger.drop("vm1", "nic1")
    assert total(ledger, 1005) == 75


async def test_a_destination_that_starts_anew(ledger: CounterLedger):
    """It has forgotten what others have counted there."""
    watched(ledger, nic1=70, nic2=1000)
    await ledger.copy("vm1", "nic1", "nic2")
    await ledger.drop("vm1", "nic1")
    assert total(ledger, 1005) == 75
    assert total(ledger, 3) == 73
    assert total(ledger, 1005) == 1075


async def test_to_and_fro(ledger: CounterLedger):
    watched(ledger, nic1=70, nic2=1000)
    await ledger.copy("vm1", "nic1", "nic2")
    await ledger.drop("vm1", "nic1")
    watched(ledger, nic1=90, nic2=1005)
    await ledger.copy("vm1", "nic2", "nic1")
    await ledger.drop("vm1", "nic2")
    assert total(ledger, 91) == 76


class Killed(BaseException):
    """The controller, in the midst of it."""


class Mortal:
    """A connection whose owner is killed when so many statements have been executed."""

    def __init__(self, connection: Any, statements: int) -> None:
        self._connection, self._left = connection, statements

    def _live(self) -> Any:
        if not self._left:
            raise Killed
        self._left -= 1
        return self._connection

    def execute(self, *words: Any) -> Any:
        return self._live().execute(*words)

    def executemany(self, *words: Any) -> Any:
        return self._live().executemany(*words)


async def killed_after(path: Path, statements: int) -> bool:
    """Whether the controller has not come to the end of its note of a VM that has moved."""
    store = Store(path)
    ledger, connection = CounterLedger(store), store._db
    watched(ledger, nic1=70, nic2=1000)
    await ledger.copy("vm1", "nic1", "nic2")
    mortal: Any = Mortal(connection, statements)
    store._db, ended = mortal, False
    with suppress(Killed):
        await ledger.drop("vm1", "nic1")
        ended = True
    connection.close()
    return not ended


async def test_a_controller_that_is_killed_loses_no_counts(tmp_path: Path):
    """Whenever that is: it notes again what is not noted whole."""
    kills = 0
    while await killed_after(tmp_path / str(kills), kills):
        ledger = CounterLedger(Store(tmp_path / str(kills)))
        watched(ledger, nic1=70, nic2=1003)
        await ledger.drop("vm1", "nic1")
        assert total(ledger, 1005) == 75
        kills += 1
    assert kills > 3, "killed in the transaction, too"
