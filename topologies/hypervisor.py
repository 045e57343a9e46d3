"""The hypervisor's part: connect a guest to a VF, and move that connection.

Model ``vdpa``: the guest's ``eth0`` ends at a back end ``be-VM``; two tc redirects join the back
end and the VF's host side. Moving the guest re-points them, and the guest sees nothing. Model
``vf``: the VF's host side itself becomes the guest's ``eth0``; moving takes it away and gives
another.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
from contextlib import AbstractAsyncContextManager

from control.model import Vm
from topologies.errors import LabError
from topologies.memory import MemoryChannel, memory_channel
from topologies.network import LabNetwork

# A fixed handle makes "filter replace" exchange the redirect's target in one step.
_TARGET = re.compile(r"Egress Redirect to device ([^)\s]+)")
_MATCH_ALL = "protocol all pref 1 handle 800::800 u32 match u32 0 0"


class Hypervisor:
    """Acts on guests and on the host side of VFs of one lab network."""

    def __init__(self, network: LabNetwork) -> None:
        self._network = network
        self._vms = {vm.name: vm for vm in network.topology.vms}
        self._where: dict[str, tuple[str, int]] = {}
        self._discovered = False

    def place(self, vm: str) -> tuple[str, int] | None:
        """The NIC and VF that a guest is connected to, or None."""
        return self._where.get(vm)

    async def prepare(self) -> None:
        """Give every VF host side and every guest back end the hook that redirects attach to."""
        network = self._network
        devices = [
            network.vf_host(nic.name, vf) for nic in network.topology.nics for vf in range(nic.vfs)
        ]
        devices += [network.backend(vm.name) for vm in self._vms.values() if vm.model == "vdpa"]
        await _tc([f"qdisc add dev {device} clsact" for device in devices])

    async def attach(self, vm: str, nic: str, vf: int) -> None:
        """Connect a guest to a VF, or move it there; what is sent meanwhile is not lost."""
        if not self._discovered:
            self._where.update(await self._discover())
            self._discovered = True
        old = self._where.get(vm)
        if self._vms[vm].model == "vdpa":
            await self._redirect(vm, nic, vf, old)
        else:
            await self._plug(self._vms[vm], nic, vf, old)
        self._where[vm] = (nic, vf)

    async def _discover(self) -> dict[str, tuple[str, int]]:
        """Where vDPA guests are connected already, as a controller before this one left them."""
        network = self._network
        vms = {network.backend(name): name for name in self._vms if name not in self._where}
        found = {}
        for nic in network.topology.nics:
            for vf in range(nic.vfs):
                device = network.vf_host(nic.name, vf)
                shown = await _run(["tc", "filter", "show", "dev", device, "ingress"])
                target = _TARGET.search(shown)
                if target and target[1] in vms:
                    found[vms[target[1]]] = (nic.name, vf)
        return found

    async def _redirect(self, vm: str, nic: str, vf: int, old: tuple[str, int] | None) -> None:
        """Point the two redirects of a vDPA guest at a VF.

        The way in at the new VF opens before the guest's way out changes; the old way in closes
        last, so that what the source still delivers arrives.
        """
        backend, host = self._network.backend(vm), self._network.vf_host(nic, vf)
        commands = [_redirection(host, backend), _redirection(backend, host)]
        if old is not None and old != (nic, vf):
            commands.append(f"filter del dev {self._network.vf_host(*old)} ingress pref 1")
        await _tc(commands)

    async def _plug(self, vm: Vm, nic: str, vf: int, old: tuple[str, int] | None) -> None:
        """Make a VF's host side the guest's ``eth0``, with its addresses."""
        pid = self._network.node(vm.name).pid
        if old is not None:
            host = self._network.vf_host(*old)
            await _run(["mnexec", "-a", str(pid), "ip", "link", "set", "eth0", "down"])
            await _run(
                [
                    "mnexec",
                    "-a",
                    str(pid),
                    "ip",
                    "link",
                    "set",
                    "eth0",
                    "netns",
                    str(os.getpid()),
                    "name",
                    host,
                ]
            )
            await _run(["ip", "link", "set", host, "up"])
        host = self._network.vf_host(nic, vf)
        await _run(["ip", "link", "set", host, "netns", str(pid), "name", "eth0"])
        commands = f"link set eth0 address {vm.mac} arp on\n"
        commands += "".join(f"addr add {ip} dev eth0 nodad\n" for ip in vm.ips)
        commands += "link set eth0 up\n"
        routes = self._network.gateways(vm)
        commands += "".join(f"route add default via {via} dev eth0\n" for via in routes)
        await _run(["mnexec", "-a", str(pid), "ip", "-batch", "-"], commands)
        if self._network.target != "native":
            offloads = ["ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off"]
            await _run(["mnexec", "-a", str(pid), *offloads])

    async def freeze(self, vm: str) -> None:
        """Stop the guest's processes, as a hypervisor stops virtual CPUs."""
        self._signal(vm, signal.SIGSTOP)

    async def thaw(self, vm: str) -> None:
        """Let the guest's processes run again."""
        self._signal(vm, signal.SIGCONT)

    def memory_channel(
        self, source: str, destination: str
    ) -> AbstractAsyncContextManager[MemoryChannel]:
        """Open a path from one server's PF to another's, for guest memory."""
        address = self._network.topology.server(destination).ips[0].partition("/")[0]
        pids = [self._network.node(name).pid for name in (source, destination)]
        return memory_channel(pids[0], pids[1], address)

    def _signal(self, vm: str, number: signal.Signals) -> None:
        """Signal every process in the guest's namespace except Mininet's shell for it."""
        shell = self._network.node(vm).pid
        inode = os.stat(f"/proc/{shell}/ns/net").st_ino
        for name in os.listdir("/proc"):
            if not name.isdigit() or int(name) == shell:
                continue
            try:
                if os.stat(f"/proc/{name}/ns/net").st_ino == inode:
                    os.kill(int(name), number)
            except OSError:
                continue  # it has ended


def _redirection(device: str, target: str) -> str:
    """The tc command that sends all that arrives at ``device`` out of ``target``."""
    action = f"action mirred egress redirect dev {target}"
    return f"filter replace dev {device} ingress {_MATCH_ALL} {action}"


async def _tc(commands: list[str]) -> None:
    """Run tc commands in one process."""
    await _run(["tc", "-batch", "-"], "\n".join(commands) + "\n")


async def _run(command: list[str], text: str = "") -> str:
    """Run a command with ``text`` on its input; its output, or LabError with its words."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate(text.encode())
    if process.returncode:
        words = (errors or output).decode(errors="replace").strip()
        raise LabError(f"{' '.join(command)} failed: {words}")
    return output.decode(errors="replace")
