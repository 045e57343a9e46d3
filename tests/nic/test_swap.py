"""Policy swap: stamped packets under load; none meets a mixture of old and new rules."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from control.difference import compare, index
from control.model import DesiredState
from control.nic import GRACE_S
from control.policy import compile_nic

from .client import Client
from .rig import Rig, state, udp, vf, vm

FILLER = 200


def _policy(open_ports: str) -> DesiredState:
    """Allows one range of ports to vm2, behind many rules that match nothing here."""
    rules: list[dict[str, Any]] = [
        {"protocol": "udp", "ports": 60000 + i, "remote": f"192.168.{i % 250}.0/24",
         "priority": 2000 + i + (1 if open_ports == "2000-2999" else 0)}
        for i in range(FILLER)
    ]  # fmt: skip
    rules.append({"protocol": "udp", "ports": open_ports})
    group = {"name": "g", "stateful": False, "rules": rules}
    return state(groups=[group], vms=[vm(1), vm(2, groups=["g"])])


def _stamped(count: int) -> list[bytes]:
    """Numbered packets: even ones are for the old rules, odd ones for the new."""
    kinds = [bytes(udp(1, 2, dport=port)) for port in (1500, 2500)]
    return [kinds[number % 2] + number.to_bytes(4, "big") for number in range(count)]


def _send_while(rig: Rig, change: Callable[[], None]) -> tuple[int, list[int]]:
    """Send stamped packets until ``change`` is over and a little longer; what got through."""
    done = threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            change()
        except BaseException as error:  # noqa: BLE001 - handed to the test below
            failures.append(error)
        finally:
            done.set()

    frames = _stamped(200_000)
    worker = threading.Thread(target=work)
    got: list[int] = []
    sent, after = 0, 0
    while after < 200 and sent < len(frames):
        if sent == 192:
            worker.start()
        after += done.is_set()
        rig.switch.send(vf(0), frames[sent])
        sent += 1
        if sent % 32 == 0:  # the queues of a software switch are short
            got += [int.from_bytes(frame[-4:], "big") for _, frame in rig.switch.settle()]
    worker.join()
    assert not failures, failures
    assert done.is_set(), "the swap was not over before the packets ran out"
    got += [int.from_bytes(frame[-4:], "big") for _, frame in rig.switch.settle()]
    return sent, got


def _swap(client: Client, old: Any, new: Any) -> None:
    last = [client.encoder.table_ids[n] for n in ("port_table", "destination_table")]
    encode = client.encoder.program
    difference = compare(index(encode(new)), index(encode(old)), last)
    start = len(difference) - difference.deleted
    client.write(difference.updates[:start], batch=100)
    threading.Event().wait(GRACE_S)  # as control.nic does: packets under way leave
    client.write(difference.updates[start:], batch=100)


def test_every_packet_meets_the_old_rules_or_the_new_ones(rig: Rig) -> None:
    old = rig.configure(_policy("1000-1999"))
    new = compile_nic(_policy("2000-2999"), "nic1", tags=old.tags)
    rig.switch.settle()
    sent, got = _send_while(rig, lambda: _swap(rig.client, old, new))
    rig.client.adopt(new)
    flip = next(number for number in got if number % 2 == 1)
    before = [n for n in got if n < flip]
    assert before in (list(range(0, flip, 2)), list(range(0, flip - 1, 2)))
    assert [n for n in got if n >= flip] == list(range(flip, sent, 2))
    assert 192 <= flip < sent - 100
