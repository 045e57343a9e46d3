"""Namespaces joined to switch ports by veth pairs; everything is removed again."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_COUNT = itertools.count()


def ip(*words: str, namespace: str | None = None) -> str:
    """Run ip(8); CalledProcessError shows what it said."""
    command = ["ip", *(("-n", namespace) if namespace else ()), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@dataclass
class Host:
    """A namespace with eth0, whose other end `port` is for the switch."""

    name: str
    port: str
    mac: str
    address: str
    mtu: int = 1500

    def run(self, *command: str, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ip", "netns", "exec", self.name, *command],
            capture_output=True, text=True, timeout=30, **options,  # type: ignore[call-overload]
        )  # fmt: skip

    def spawn(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["ip", "netns", "exec", self.name, *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def link(self) -> None:
        """Make the pair, up at both ends."""
        ip("link", "add", self.port, "mtu", str(self.mtu), "type", "veth", "peer", "name", "eth0",
           "address", self.mac, "mtu", str(self.mtu), "netns", self.name)  # fmt: skip
        with open(f"/proc/sys/net/ipv6/conf/{self.port}/disable_ipv6", "w") as knob:
            knob.write("1")
        ip("link", "set", self.port, "up")
        ip("link", "set", "eth0", "up", namespace=self.name)
        ip("addr", "add", f"{self.address}/24", "dev", "eth0", namespace=self.name)


@dataclass
class Net:
    """What one test made."""

    prefix: str
    hosts: list[Host] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    def host(self, number: int, mtu: int = 1500) -> Host:
        name = f"{self.prefix}h{number}"
        host = Host(name, f"{self.prefix}p{number}", f"02:00:00:00:00:{number:02x}",
                    f"10.91.0.{number}", mtu)  # fmt: skip
        ip("netns", "add", name)
        self.hosts.append(host)
        ip("link", "set", "lo", "up", namespace=name)
        host.link()
        return host

    def neighbours(self) -> None:
        """Every host knows every other."""
        for host in self.hosts:
            for other in self.hosts:
                if other is not host:
                    ip("neigh", "replace", other.address, "lladdr", other.mac, "dev", "eth0",
                       namespace=host.name)  # fmt: skip

    def cable(self, mtu: int = 1500) -> tuple[str, str]:
        """A pair of interfaces in the root namespace."""
        ends = (f"{self.prefix}c0", f"{self.prefix}c1")
        ip("link", "add", ends[0], "mtu", str(mtu), "type", "veth", "peer", "name", ends[1],
           "mtu", str(mtu))  # fmt: skip
        self.links.append(ends[0])
        for end in ends:
            with open(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6", "w") as knob:
                knob.write("1")
            ip("link", "set", end, "up")
        return ends


@contextmanager
def network() -> Iterator[Net]:
    """A network of its own, gone when the block ends."""
    net = Net(f"e{os.getpid() % 100000}{next(_COUNT) % 10}")
    try:
        yield net
    finally:
        for host in net.hosts:
            subprocess.run(["ip", "link", "del", host.port], capture_output=True, check=False)
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)
        for link in net.links:
            subprocess.run(["ip", "link", "del", link], capture_output=True, check=False)


def wait_until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Poll until the condition holds; AssertionError names it when it never does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
