"""Links of the lab, made in batches: one ``ip -batch`` per namespace, not a shell per link."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from mininet.link import Intf

from topologies.errors import LabError

UPLINK_MTU = 1600  # room for a VXLAN header around a full-sized guest packet


@dataclass(frozen=True)
class End:
    """One end of a veth pair: its node and its name there; port is the P4 port, if it is one."""

    node: Any
    name: str
    port: int | None = None
    mac: str | None = None
    ips: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()
    mtu: int = 1500


@dataclass
class Cable:
    """A veth pair. ``a`` lies in the root namespace, ``b`` anywhere. Mininet sees it as a link."""

    a: End
    b: End
    intf1: PlainIntf = field(init=False)
    intf2: PlainIntf = field(init=False)

    def attach(self) -> None:
        """Make the ends known to their Mininet nodes."""
        self.intf1 = PlainIntf(self.a, self)
        self.intf2 = PlainIntf(self.b, self)

    def status(self) -> str:
        """Mininet's ``links`` command prints this."""
        return f"({self.intf1.status()} {self.intf2.status()})"

    def stop(self) -> None:
        """Do nothing: the run directory's clean-up removes all links in one batch."""

    def __str__(self) -> str:
        return f"{self.a.node.name}:{self.a.name}<->{self.b.node.name}:{self.b.name}"


class PlainIntf(Intf):
    """A Mininet interface that exists and is configured already: creating it runs no command."""

    def __init__(self, end: End, link: Cable | None = None) -> None:
        self.node, self.name, self.link = end.node, end.name, link
        self.mac = end.mac
        address, _, self.prefixLen = next(iter(end.ips), "").partition("/")
        self.ip = address or None
        self.params: dict[str, Any] = {}
        end.node.addIntf(self, port=end.port, moveIntfFn=lambda *_: None)


def make_cables(cables: Iterable[Cable], *, offloads: bool) -> None:
    """Create the veth pairs and configure both ends. Raises LabError if the kernel refuses.

    Without ``offloads`` all ends send complete, unsegmented-by-hardware packets: BMv2 reads frames
    as they lie in memory and knows nothing of partial checksums. Its own ends have them off, too:
    where a port might receive segments of 64 KiB, libpcap gives each frame that much of its ring,
    which then holds 32 frames of any size, and what comes while BMv2 does not run is lost.
    """
    cables = list(cables)
    root: list[str] = []
    inner: dict[Any, list[End]] = {}
    for cable in cables:
        root += _create(cable)
        if cable.b.node.inNamespace:
            inner.setdefault(cable.b.node, []).append(cable.b)
    _ip_batch([], root)
    running = [_configure(node, ends, offloads=offloads) for node, ends in inner.items()]
    if not offloads:
        outer = [e for c in cables for e in (c.a, c.b) if e is c.a or not e.node.inNamespace]
        running.append(_shell([], _complete(outer)))
    for process in running:
        _finish(process)
    for cable in cables:
        cable.attach()


def _create(cable: Cable) -> list[str]:
    """Commands that create one pair, peer already in its namespace, and bring root ends up."""
    a, b = cable.a, cable.b
    where = f" netns {b.node.pid}" if b.node.inNamespace else ""
    address = f" address {b.mac}" if b.mac else ""
    quiet = "addrgenmode none"
    commands = [
        f"link add name {a.name} mtu {a.mtu} type veth "
        f"peer name {b.name} mtu {b.mtu}{address}{where}",
        f"link set dev {a.name} {quiet} arp off up",
    ]
    if not b.node.inNamespace:
        commands.append(f"link set dev {b.name} {quiet} arp off up")
    return commands


def _configure(node: Any, ends: list[End], *, offloads: bool) -> subprocess.Popen[str]:
    """Start configuring a node's ends inside its namespace."""
    commands = ["link set dev lo up"]
    for end in ends:
        commands += [f"addr add {ip} dev {end.name} nodad" for ip in end.ips]
        commands.append(f"link set dev {end.name} up")
        commands += [f"route add default via {via} dev {end.name}" for via in end.gateways]
    script = "ip -batch - <<'EOF' || exit 1\n" + "\n".join(commands) + "\nEOF\n"
    if not offloads:
        script += _complete(ends)
    return _shell(["mnexec", "-a", str(node.pid)], script)


def _complete(ends: Iterable[End]) -> str:
    """A script after which ends send and receive only packets that are complete."""
    off = "tx off tso off gso off gro off"
    return "".join(f"ethtool -K {end.name} {off} >/dev/null || exit 1\n" for end in ends)


def _shell(prefix: list[str], script: str) -> subprocess.Popen[str]:
    """Start a script."""
    return subprocess.Popen(
        [*prefix, "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _finish(process: subprocess.Popen[str]) -> None:
    """Wait for a configuration command and raise LabError if it failed."""
    _, errors = process.communicate()
    if process.returncode:
        raise LabError(f"a network interface cannot be configured: {errors.strip()}")


def _ip_batch(prefix: list[str], commands: list[str]) -> None:
    """Run ``ip`` commands in one process. Raises LabError with the kernel's words."""
    result = subprocess.run(
        [*prefix, "ip", "-batch", "-"], input="\n".join(commands), text=True, capture_output=True
    )
    if result.returncode:
        raise LabError(f"the lab's links cannot be made: {result.stderr.strip()}")
