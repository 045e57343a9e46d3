"""New flows through the controller, offered faster and faster; and a full connection table."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import Bench, Effort, Figure, Round, fixed
from bench.rules import applied, group, with_group
from bench.suites.plain import pair
from bench.traffic import TrafficError, guest, guest_service
from control.connections import ConnectionManager
from control.connections.service import ConnectionService
from control.errors import ControlError
from control.fabric import Fabric
from control.model import DesiredState
from control.model.services import SecurityGroup
from topologies.lab import Lab
from topologies.machine import Machine

RATES = (500, 1000, 2000, 3000, 4000, 5000, 6000, 8000, 10000, 12000)
MANY = 100_000
_PORT, _PORTS = 7000, 8
_LATE_MS = 500.0  # a longer queue than this at the end is one that grows
_TRIES = 2  # something else on the machine may spoil one
_KEPT_UP = 0.9
_BURST, _BURST_S = 4000, 0.4  # what fits into the queues on the way
_OFFERS = 20
_STALLED_S = 1.0


def unlimited(state: DesiredState, *vms: str) -> DesiredState:
    """The state with stateful rules on two VMs, and no quotas."""
    free = {"max_new_connections": 0, "max_connections": 0}
    everyone = [vm.model_copy(update=free) for vm in state.vms]
    state = state.model_copy(update={"vms": everyone})
    return with_group(state, group(10, stateful=True), *vms)


@contextmanager
def _stateful(lab: Lab, client: Machine, server: Machine) -> Iterator[None]:
    """Stateful rules during the block; the connections that it leaves are ended, by denying all."""
    before = lab.controller.state
    nothing = SecurityGroup(name="nothing", stateful=True, rules=[])
    with applied(lab, unlimited(before, client.name, server.name)):
        try:
            yield
        finally:
            denied = with_group(before, nothing, client.name, server.name)
            lab.run(lab.controller.fabric.change(denied))


def _flows(lab: Lab, condition: str, effort: Effort) -> Round:
    """Offer more flows per second, until some are lost or late: the rate that still went well."""
    client, server = pair(lab, condition)
    first, good = 0, {"per_s": 0.0, "p99_ms": 0.0}
    steps = []
    with _stateful(lab, client, server):
        for rate in RATES:
            for _ in range(_TRIES):
                step = _offer(client, server, first, rate, effort.seconds)
                first += int(step["sent"])
                steps.append(step)
                if _went_well(step):
                    break
            else:
                break
            good = {"per_s": step["per_s"], "p99_ms": step["p99_ms"]}
            if step["per_s"] < _KEPT_UP * rate:
                break  # the sender is at its limit
    return Round(good, {"steps": steps})


def _went_well(step: dict[str, Any]) -> bool:
    """Whether all first packets arrived, and none was late."""
    return bool(step["received"] == step["sent"] and step["max_ms"] <= _LATE_MS)


def _offer(
    client: Machine, server: Machine, first: int, rate: float, seconds: float
) -> dict[str, Any]:
    """Begin flows at a rate; what was sent, what came, and how late."""
    with guest_service(server, "flows-receive", _PORT, _PORTS) as receiver:
        sent = guest(client, "flows-send", server.ip, _PORT, first, rate, seconds).result()
        return {"rate": rate} | sent | receiver.result(sent["sent"])


FLOWS = Bench(
    "flows",
    "New UDP flows, one packet each, all delivered within half a second",
    (
        Figure("per_s", "new UDP flows", "flows/s"),
        Figure("p99_ms", "time to deliver a flow's first packet, p99", "ms", "lower"),
    ),
    fixed("one server", "across"),
    _flows,
    costly=True,
)


def _held(lab: Lab, _condition: str, _effort: Effort) -> Round:
    """Install many connections through the controller, as fast as it takes them; then end them."""
    manager = _manager(lab)
    client, server = pair(lab, "across")
    processes = {name: nic.process.pid for name, nic in lab.network.nics.items()}
    before = megabytes("self"), sum(map(megabytes, processes.values()))
    with _stateful(lab, client, server):
        began, start = time.monotonic(), manager.installed
        for first in range(0, MANY, _BURST):
            _install(manager, start + first + _BURST, client, server, first)
        installed_s = time.monotonic() - began
        after = megabytes("self"), sum(map(megabytes, processes.values()))
        began = time.monotonic()
    return Round(
        {
            "install_s": installed_s,
            "end_s": time.monotonic() - began,
            "controller_mb": after[0] - before[0],
            "nic_mb": (after[1] - before[1]) / len(processes),
        }
    )


def _manager(lab: Lab) -> ConnectionManager:
    """The manager of all connections. ControlError if the plane has none."""
    if isinstance(lab.controller.fabric, Fabric):
        for companion in lab.controller.fabric.companions:
            if isinstance(companion, ConnectionService):
                return companion.manager
    raise ControlError("the plane keeps no connections that the controller installs.")


def _install(
    manager: ConnectionManager, due: int, client: Machine, server: Machine, first: int
) -> None:
    """Offer a burst of flows until ``due`` are installed in all; what was lost comes again."""
    for _ in range(_OFFERS):
        guest(client, "flows-send", server.ip, _PORT, first, _BURST / _BURST_S, _BURST_S).result()
        if _installs(manager, due):
            return
    raise TrafficError(f"{due - manager.installed} flows were lost {_OFFERS} times")


def _installs(manager: ConnectionManager, due: int) -> bool:
    """Wait until so many connections are installed; False once none has come for a while."""
    seen, since = manager.installed, time.monotonic()
    while seen < due:
        time.sleep(0.01)
        if manager.installed > seen:
            seen, since = manager.installed, time.monotonic()
        elif time.monotonic() > since + _STALLED_S:
            return False
    return True


def megabytes(process: int | str) -> float:
    """Resident memory of a process. TrafficError if it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    except OSError:
        raise TrafficError(f"process {process} of a NIC has ended meanwhile") from None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


HELD = Bench(
    "held",
    f"{MANY:,} connections installed through the controller, and ended",
    (
        Figure("install_s", "time to install 100,000 connections", "s", "lower"),
        Figure("end_s", "time to end 100,000 connections", "s", "lower"),
        Figure("controller_mb", "the controller's memory for 100,000 connections", "MB", "lower"),
        Figure("nic_mb", "a NIC's memory for 100,000 connections", "MB", "lower"),
    ),
    fixed("across"),
    _held,
    costly=True,
)
