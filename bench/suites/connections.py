"""New connections per second through a stateful policy."""

from __future__ import annotations

from bench.measure import Bench, Effort, Figure, Round, fixed
from bench.rules import applied
from bench.suites.flows import unlimited
from bench.suites.plain import pair
from bench.traffic import guest, guest_service
from topologies.lab import Lab

_PORT = 8080
_CLIENTS = 8


def _connections(lab: Lab, condition: str, effort: Effort) -> Round:
    client, server = pair(lab, "across")
    state = lab.controller.state
    if condition == "stateful policy":
        state = unlimited(state, client.name, server.name)
    with applied(lab, state), guest_service(server, "serve", _PORT):
        words = ("request", server.ip, _PORT, 0, effort.seconds)
        running = [guest(client, *words) for _ in range(_CLIENTS)]
        results = [client_run.result() for client_run in running]
    return Round(
        {
            "per_s": sum(result["per_s"] for result in results),
            "broken": sum(result["broken"] for result in results),
        }
    )


CONNECTIONS = Bench(
    "connections",
    "Short TCP connections, one request each",
    (
        Figure("per_s", "short TCP connections", "connections/s"),
        Figure("broken", "broken connections", "connections", "lower"),
    ),
    fixed("no policy", "stateful policy"),
    _connections,
    spare=("no policy",),
)
