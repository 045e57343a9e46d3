"""The hypervisor's part: connect a guest to a VF, and move that connection.

Model ``vdpa``: the guest's ``eth0`` ends at a back end ``be-VM``; two redirects join the back end
and the VF's host side. Moving the guest re-points them, and the guest sees nothing. Model ``vf``:
the VF's host side itself becomes the guest's ``eth0``; moving takes it away and gives another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager

from control.model import Vm
from topologies.errors import LabError
from topologies.memory import MemoryChannel, memory_channel
from topologies.namespace import inside
from topologies.network import LabNetwork
from topologies.redirects import add_hook, redirect, remove_redirect
from topologies.silicon import Urgency
from topologies.uplinks import has_link

_TARGET = re.compile(r"Egress Redirect to device ([^)\s]+)")
_PEER = re.compile(r"eth0@if(\d+):")
SETTLE_S = 2.0
_LOOK_S = 0.001
Place = tuple[str, int]
"""A NIC and the number of one of its VFs."""


class Hypervisor:
    """Acts on guests and on the host side of VFs of one lab network."""

    def __init__(self, network: LabNetwork) -> None:
        self._network = network
        self._vms = {vm.name: vm for vm in network.topology.vms}
        self._ways_in: dict[str, set[Place]] = {name: set() for name in self._vms}
        self._frozen: dict[str, list[int]] = {}
        self._discovered = False
        self._urgency = Urgency()

    async def prepare(self) -> None:
        """Give every VF host side and every guest back end the hook that redirects attach to."""
        network = self._network
        places = [(nic.name, vf) for nic in network.topology.nics for vf in range(nic.vfs)]
        devices = [network.vf_host(*place) for place in places]
        if not network.offloads and any(vm.model == "vf" for vm in self._vms.values()):
            for device in devices:  # a guest may be given any of them
                await _run(["ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off"])
        devices += [network.backend(vm.name) for vm in self._vms.values() if vm.model == "vdpa"]
        for device in devices:
            add_hook(device)

    async def make_way(self, vm: str, nic: str, vf: int) -> None:
        """Let frames of a VF reach a guest before it is attached there, as far as its model can.

        The kernel takes a while to begin redirecting at an interface; a frozen guest need not wait.
        """
        await self._discover()
        if self._vms[vm].model == "vdpa":
            add_hook(self._network.vf_host(nic, vf))  # it may have been in a guest of model vf
            redirect(self._network.vf_host(nic, vf), self._network.backend(vm))
            self._ways_in[vm].add((nic, vf))

    async def attach(self, vm: str, nic: str, vf: int) -> None:
        """Connect a guest to a VF, or move it there; what is sent meanwhile is not lost."""
        await self._discover()
        if self._vms[vm].model == "vdpa":
            await self._join(vm, (nic, vf))
        else:
            await self._plug(self._vms[vm], (nic, vf))
        self._ways_in[vm] = {(nic, vf)}

    async def _discover(self) -> None:
        """Find where guests are connected already, as a controller before this one left them."""
        if self._discovered:
            return
        self._discovered = True
        network = self._network
        switch_sides, back_ends = {}, {network.backend(name): name for name in self._vms}
        present = {name for _, name in socket.if_nameindex()}
        for nic in network.topology.nics:
            space = inside(network.nics[nic.name].space, socket.if_nameindex)
            numbers = {name: number for number, name in space}
            for vf in range(nic.vfs):
                switch_sides[numbers[network.vf(nic.name, vf)]] = (nic.name, vf)
                device = network.vf_host(nic.name, vf)
                if device in present:
                    shown = await _run(["tc", "filter", "show", "dev", device, "ingress"])
                    target = _TARGET.search(shown)
                    if target and target[1] in back_ends:
                        self._ways_in[back_ends[target[1]]].add((nic.name, vf))
        for vm in self._vms.values():
            if vm.model == "vf":
                shown = await self._inside(vm.name, "ip", "-o", "link", "show")
                peer = _PEER.search(shown)
                if peer and int(peer[1]) in switch_sides:
                    self._ways_in[vm.name].add(switch_sides[int(peer[1])])

    async def _join(self, vm: str, place: Place) -> None:
        """Point the two redirects of a vDPA guest at a VF.

        The way in at the new VF opens before the guest's way out changes; the old way in closes
        last, so that what the source still delivers arrives.
        """
        backend, host = self._network.backend(vm), self._network.vf_host(*place)
        redirect(host, backend)
        redirect(backend, host)
        for other in self._ways_in[vm] - {place}:
            remove_redirect(self._network.vf_host(*other))

    async def _plug(self, vm: Vm, place: Place) -> None:
        """Make a VF's host side the guest's ``eth0``, with its addresses, and wait for its link."""
        if place not in self._ways_in[vm.name]:
            await self._exchange(vm.name, self._network.vf_host(*place))
        commands = f"link set eth0 address {vm.mac} arp on\n"
        commands += "".join(f"addr replace {ip} dev eth0 nodad\n" for ip in vm.ips)
        commands += "link set eth0 up\n"
        routes = self._network.gateways(vm)
        commands += "".join(f"route replace default via {via} dev eth0\n" for via in routes)
        await self._inside(vm.name, "ip", "-batch", "-", text=commands)
        await _settled(self._network.nics[place[0]].space, self._network.vf(*place))

    async def _exchange(self, vm: str, host: str) -> None:
        """Take the guest's ``eth0``, if it has one, and give it the VF ``host`` instead.

        The VF that comes back has the guest's address still. It must stay silent: what the host's
        IPv6 would send from it tells the network that the guest is where it was.
        """
        pid, here = self._network.node(vm).pid, os.getpid()
        olds = [self._network.vf_host(*old) for old in self._ways_in[vm]]
        for old in olds:
            await self._inside(vm, "ip", "link", "set", "eth0", "netns", str(here), "name", old)
        commands = f"link set {host} netns {pid} name eth0\n"
        commands += "".join(f"link set {old} addrgenmode none arp off up\n" for old in olds)
        await _run(["ip", "-batch", "-"], commands)

    async def _inside(self, vm: str, *command: str, text: str = "") -> str:
        """Run a command in a guest."""
        pid = str(self._network.node(vm).pid)
        return await _run(["mnexec", "-a", pid, *command], text)

    async def freeze(self, vm: str) -> None:
        """Stop the guest's processes, as a hypervisor stops virtual CPUs."""
        self._frozen[vm] = self._processes(vm)
        _signal(self._frozen[vm], signal.SIGSTOP)

    async def thaw(self, vm: str) -> None:
        """Let the guest's processes run again."""
        stopped = self._frozen.pop(vm, None)
        _signal(self._processes(vm) if stopped is None else stopped, signal.SIGCONT)

    @contextmanager
    def urgent(self) -> Iterator[None]:
        """Let the caller's thread, and NICs' control threads, run before guests and packets."""
        nics = self._network.nics.values()
        threads = [thread for nic in nics for thread in nic.control_threads()]
        with self._urgency.urgent(threads):
            yield

    def memory_channel(
        self, source: str, destination: str
    ) -> AbstractAsyncContextManager[MemoryChannel]:
        """Open a path from one server's PF to another's, for guest memory."""
        address = self._network.topology.server(destination).ips[0].partition("/")[0]
        pids = [self._network.node(name).pid for name in (source, destination)]
        return memory_channel(pids[0], pids[1], address)

    def _processes(self, vm: str) -> list[int]:
        """All processes in the guest's namespace except Mininet's shell for it."""
        shell = self._network.node(vm).pid
        inode = os.stat(f"/proc/{shell}/ns/net").st_ino
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != shell:
                try:
                    if os.stat(f"/proc/{name}/ns/net").st_ino == inode:
                        found.append(int(name))
                except OSError:
                    continue  # it has ended
        return found


def _signal(pids: list[int], number: signal.Signals) -> None:
    """Signal processes, some of which may have ended."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def _settled(space: int, interface: str) -> None:
    """Wait until the kernel lets frames out of an interface whose other end has just come up.

    It does so a moment after the link is there; what is sent before is dropped without a word.
    ``space``: a process in the network namespace where the interface is.
    """
    deadline = asyncio.get_running_loop().time() + SETTLE_S
    with inside(space, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asker:
        while not has_link(asker, interface):
            if asyncio.get_running_loop().time() > deadline:
                raise LabError(
                    f"{interface} has no link {SETTLE_S:.0f} s after a guest was plugged in."
                )
            await asyncio.sleep(_LOOK_S)


async def _run(command: list[str], text: str = "") -> str:
    """Run a command with ``text`` on its input; its output, or LabError with its words."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await process.communicate(text.encode())
    except asyncio.CancelledError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()  # its pipes must not outlive the loop
        raise
    if process.returncode:
        words = (errors or output).decode(errors="replace").strip()
        raise LabError(f"{' '.join(command)} failed: {words}")
    return output.decode(errors="replace")
