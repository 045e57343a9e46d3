"""What Open vSwitch cannot do of a desired state, with the reason."""

from __future__ import annotations

from collections import Counter

from control.model import DesiredState


def unsupported(state: DesiredState) -> list[str]:
    """What a document asks for that this plane does not do, in the operator's words."""
    sections = (
        (
            "health checks of load balancer members (it probes nobody by itself)",
            any(balancer.health for balancer in state.load_balancers),
        ),
        (
            "guaranteed rates, min_tx_rate (its meters only drop, and its queues do not exist "
            "in the userspace datapath)",
            any(vm.min_tx_rate for vm in state.vms),
        ),
        (
            "one shared outside address for several tenants (a reply would not tell whose it is)",
            _shared_twice(state),
        ),
    )
    return [words for words, asked in sections if asked]


def _shared_twice(state: DesiredState) -> bool:
    """Whether two routers share an address on one NIC."""
    uses = Counter((s.nic, s.address) for router in state.routers for s in router.snat)
    return any(count > 1 for count in uses.values())
