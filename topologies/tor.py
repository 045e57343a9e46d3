"""The top-of-rack switch: a Linux bridge, with static link aggregation for hashing bonds."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from mininet.node import Switch

from topologies.errors import LabError
from topologies.flowhash import everything, share
from topologies.nodes import Marked
from topologies.wiring import UPLINK_MTU


class Tor(Marked, Switch):
    """A bridge in a namespace of its own.

    In the root namespace a host's firewall might filter bridged packets; here nothing does.

    ``bundles``: links that are one port of the bridge, by the bundle's name: ports by member
    number. The kernel of a small machine has neither bonding nor team, so the bundle is a veth
    pair: its one end is in the bridge, at the other tc hands each flow to one of the members that
    have link, and what arrives by any member to the bridge.
    """

    def __init__(
        self, name: str, *, bundles: Mapping[str, Mapping[int, str]] | None = None, **params: Any
    ) -> None:
        params.update(inNamespace=True, dpid="0")
        super().__init__(name, **params)
        self.bundles = bundles or {}

    def start(self, _controllers: list[Any]) -> None:
        """Make the bridge and the bundles, and enslave every port."""
        bundled = {port for members in self.bundles.values() for port in members.values()}
        ports = [name for name in self.nameToIntf if name not in {"lo", *bundled}]
        lines = ["link add name br0 type bridge stp_state 0 mcast_snooping 0", "link set br0 up"]
        for bundle in self.bundles:
            lines += [
                f"link add name {_port(bundle)} mtu {UPLINK_MTU} type veth "
                f"peer name {_inner(bundle)} mtu {UPLINK_MTU}",
                f"link set {_inner(bundle)} addrgenmode none arp off up",
                f"link set {_port(bundle)} up",
            ]
        ports += map(_port, self.bundles)
        self._batch("ip", [*lines, *(f"link set dev {port} master br0" for port in ports)])
        for bundle, members in self.bundles.items():
            self._batch("tc", list(_collect(bundle, members)))
            self.set_links(bundle, frozenset(members))

    def set_links(self, bundle: str, up: frozenset[int]) -> None:
        """Share a bundle's flows out among the members that have link."""
        members = self.bundles[bundle]
        alive = [port for number, port in members.items() if number in up]
        self._batch("tc", list(_spread(bundle, alive)))
        unused = range(len(alive) + 1, len(members) + 1)
        where = f"filter del dev {_inner(bundle)} ingress pref"
        self._batch("tc", [f"{where} {number}" for number in unused], refusals=True)

    def stop(self, deleteIntfs: bool = True) -> None:
        """Do nothing: the bridge goes with its namespace."""

    def _batch(self, program: str, lines: list[str], *, refusals: bool = False) -> None:
        """Run ``ip`` or ``tc`` commands in the namespace; LabError if the kernel refuses one."""
        command = ["mnexec", "-a", str(self.pid), program, "-force", "-batch", "-"]
        result = subprocess.run(command, input="\n".join(lines), text=True, capture_output=True)
        if result.returncode and not refusals:
            raise LabError(f"the top-of-rack switch cannot be made: {result.stderr.strip()}")


def _port(bundle: str) -> str:
    return f"lag-{bundle}"


def _inner(bundle: str) -> str:
    return f"lagi-{bundle}"


def _redirect(source: str, preference: int, bytecode: str, target: str) -> str:
    """A tc command: frames that arrive at ``source`` and match leave by ``target``."""
    return (
        f"filter replace dev {source} ingress handle 1 pref {preference} protocol all "
        f'bpf bytecode "{bytecode}" action mirred egress redirect dev {target}'
    )


def _collect(bundle: str, members: Mapping[int, str]) -> Iterator[str]:
    """What arrives by any member goes to the bridge."""
    for port in (_inner(bundle), *members.values()):
        yield f"qdisc add dev {port} clsact"
    for port in members.values():
        yield _redirect(port, 1, everything(), _inner(bundle))


def _spread(bundle: str, alive: list[str]) -> Iterator[str]:
    """What leaves the bridge: an equal share of the flows for each member, the last one first.

    That one takes all that the others leave, so that no frame falls between two changes.
    """
    last = len(alive) - 1
    for number in range(last, -1, -1):
        code = everything() if number == last else share(number, len(alive))
        yield _redirect(_inner(bundle), number + 1, code, alive[number])
