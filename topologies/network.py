"""Build the Mininet network of a topology, and stop it again."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from mininet.net import Mininet

from control.model import Nic as NicModel
from control.model import Server as ServerModel
from control.model import Vm
from topologies.nodes import Nic, Server, VirtualMachine
from topologies.ovs import OvsSwitch
from topologies.rundir import RunDirectory
from topologies.spec import Topology
from topologies.toolchain import SwitchOptions
from topologies.tor import Tor
from topologies.wiring import UPLINK_MTU, Cable, End, PlainIntf, make_cables

UPLINK_PORT = 1
PF_PORT = 8
VF_PORT_BASE = 16


@dataclass(frozen=True)
class Ports:
    """Numbers and names that keep several labs on one machine apart."""

    prefix: str = ""
    p4runtime: int = 9559
    thrift: int = 9090


def vf_port(vf: int) -> int:
    """The P4 port of VF ``vf``."""
    return VF_PORT_BASE + vf


def tor_port(nic: str, uplink: int) -> str:
    """The ToR's end of one of a NIC's uplinks."""
    return nic if uplink == UPLINK_PORT else f"{nic}-{uplink}"


class LabNetwork:
    """The nodes and links of a running topology."""

    def __init__(
        self,
        topology: Topology,
        target: str,
        rundir: RunDirectory,
        ports: Ports,
        add_switch: AddSwitch | None = None,
        *,
        offloads: bool,
    ) -> None:
        self._add_switch = add_switch or add_p4_nic
        self.offloads = offloads
        self.topology = topology
        self.target = target
        self.rundir = rundir
        self.ports = ports
        self.net = Mininet(topo=None, controller=None, build=False)
        self.nics: dict[str, Any] = {}
        self.cables: list[Cable] = []

    # names of interfaces in the root namespace

    def uplink(self, nic: str, port: int = UPLINK_PORT) -> str:
        """The switch side of one of a NIC's uplinks."""
        return f"{self.ports.prefix}{nic}-up" + ("" if port == UPLINK_PORT else str(port))

    def uplinks(self, nic: NicModel) -> dict[int, str]:
        """The switch sides of a NIC's uplinks, by port."""
        ports = range(UPLINK_PORT, UPLINK_PORT + nic.uplinks)
        return {port: self.uplink(nic.name, port) for port in ports}

    def uplink_spaces(self) -> dict[int, dict[str, dict[int, str]]]:
        """Uplinks by NIC, by a process in the network namespace where they are."""
        found: dict[int, dict[str, dict[int, str]]] = {}
        for nic in self.topology.nics:
            found.setdefault(self.nics[nic.name].space, {})[nic.name] = self.uplinks(nic)
        return found

    def pf(self, nic: str) -> str:
        """The switch side of a NIC's physical function."""
        return f"{self.ports.prefix}{nic}-pf"

    def vf(self, nic: str, vf: int) -> str:
        """The switch side of a VF."""
        return f"{self.ports.prefix}{nic}-vf{vf}"

    def vf_host(self, nic: str, vf: int) -> str:
        """The host side of a VF: what a driver would show."""
        return f"{self.ports.prefix}{nic}-vh{vf}"

    def backend(self, vm: str) -> str:
        """The stable back end of a vDPA guest's ``eth0``."""
        return f"{self.ports.prefix}be-{vm}"

    def gateways(self, vm: Vm) -> tuple[str, ...]:
        """Routers of a VM's network that its addresses reach: its default routes."""
        subnets = [ipaddress.ip_interface(ip).network for ip in vm.ips]
        routers = map(ipaddress.ip_interface, self.topology.network(vm.network).gateways)
        return tuple(str(router.ip) for router in routers if router.network in subnets)

    # life cycle

    def build(self) -> None:
        """Create all nodes and links and start the switch processes (without waiting for them)."""
        self._nodes()
        self.cables = list(self._plan())
        self.rundir.record_links(cable.a.name for cable in self.cables)
        make_cables(self.cables, offloads=self.offloads)
        self.net.links = list(self.cables)
        for vm in self.topology.vms:
            if vm.model == "vf":  # the hypervisor will plug this in
                PlainIntf(End(self.node(vm.name), "eth0", mac=vm.mac, ips=tuple(vm.ips)))
        self.net.built = True
        self.net.start()

    def stop(self) -> None:
        """Stop the switch processes and the nodes' shells."""
        self.net.stop()

    def server_of(self, nic: str) -> str:
        """The server that holds a NIC."""
        return next(s.name for s in self.topology.servers if s.nic == nic)

    def nic_of(self, server: str) -> str:
        """The NIC of a server."""
        return self.topology.server(server).nic

    def node(self, name: str) -> Any:
        """A Mininet node by name."""
        return self.net.get(name)

    def set_links(self, nic: str, up: frozenset[int]) -> None:
        """Let the ToR use those uplinks of a NIC that have link; a plain bridge sees by itself."""
        tor: Tor = self.node(self.topology.tor)
        if nic in tor.bundles:
            tor.set_links(nic, up)

    def _nodes(self) -> None:
        """Create the nodes and pin their namespaces."""
        bundles = {
            nic.name: {port: tor_port(nic.name, port) for port in self.uplinks(nic)}
            for nic in self.topology.nics
            if nic.bond == "hash" and nic.uplinks > 1
        }
        tor = self.net.addSwitch(self.topology.tor, cls=Tor, rundir=self.rundir, bundles=bundles)
        namespaces = [tor]
        rundir = self.rundir
        for server in self.topology.servers:
            host = self.net.addHost(server.name, cls=Server, ip=None, rundir=rundir)
            namespaces.append(host)
        for index, nic in enumerate(self.topology.nics):
            self._add_nic(index, nic)
        for vm in self.topology.vms:
            host = self.net.addHost(vm.name, cls=VirtualMachine, ip=None, rundir=rundir)
            namespaces.append(host)
        for node in namespaces:
            self.rundir.record_namespace(node.name, node.pid)
        for node in self.net.values():
            self.rundir.record_process(node.pid)

    def _add_nic(self, index: int, nic: NicModel) -> None:
        interfaces = {**self.uplinks(nic), PF_PORT: self.pf(nic.name)}
        interfaces.update({vf_port(n): self.vf(nic.name, n) for n in range(nic.vfs)})
        self.nics[nic.name] = self._add_switch(self, index, interfaces)

    def _plan(self) -> Iterable[Cable]:
        """All cables of the lab."""
        for nic in self.topology.nics:
            yield from self._uplink_cables(nic)
            for vf in range(nic.vfs):
                yield self._vf_cable(nic, vf)
        for server in self.topology.servers:
            yield self._pf_cable(server)
        for index, vm in enumerate(self.topology.vms):
            if vm.model == "vdpa":
                yield self._guest_cable(index, vm)

    def _uplink_cables(self, nic: NicModel) -> Iterable[Cable]:
        tor = self.node(self.topology.tor)
        for port, name in self.uplinks(nic).items():
            yield Cable(
                End(self.node(nic.name), name, port, mtu=UPLINK_MTU),
                End(tor, tor_port(nic.name, port), mtu=UPLINK_MTU),
            )

    def _pf_cable(self, server: ServerModel) -> Cable:
        nic = server.nic
        return Cable(
            End(self.node(nic), self.pf(nic), PF_PORT),
            End(self.node(server.name), "pf0", mac=server.mac, ips=tuple(server.ips)),
        )

    def _vf_cable(self, nic: NicModel, vf: int) -> Cable:
        node = self.node(nic.name)
        return Cable(
            End(node, self.vf(nic.name, vf), vf_port(vf)),
            End(node, self.vf_host(nic.name, vf), port=1000 + vf),
        )

    def _guest_cable(self, index: int, vm: Vm) -> Cable:
        nic = self.nic_of(vm.server)
        return Cable(
            End(self.node(nic), self.backend(vm.name), port=2000 + index),
            End(self.node(vm.name), "eth0", None, vm.mac, tuple(vm.ips), self.gateways(vm)),
        )


AddSwitch = Callable[[LabNetwork, int, dict[int, str]], Any]
"""Makes the node that stands for one NIC: (network, index of the NIC, interface by port)."""


def add_p4_nic(network: LabNetwork, index: int, interfaces: dict[int, str]) -> Nic:
    """A NIC that is a P4 switch process."""
    nic_model = network.topology.nics[index]
    name = nic_model.name
    options = SwitchOptions(
        device_id=index + 1,
        ports=interfaces,
        grpc_port=network.ports.p4runtime + index,
        thrift_port=network.ports.thrift + index,
        log=network.rundir.logs / f"{name}.log",
        uplinks=frozenset(network.uplinks(nic_model)),
    )
    nic: Nic = network.net.addSwitch(
        name, cls=Nic, target=network.target, options=options, rundir=network.rundir
    )
    return nic


def add_open_vswitch(network: LabNetwork, index: int, interfaces: dict[int, str]) -> OvsSwitch:
    """An Open vSwitch where a NIC would be."""
    nic = network.topology.nics[index]
    switch: OvsSwitch = network.net.addSwitch(
        nic.name,
        cls=OvsSwitch,
        wires=interfaces,
        rundir=network.rundir,
        tunnel_end=(nic.tunnel_address, nic.tunnel_mac),
    )
    network.rundir.record_namespace(nic.name, switch.pid)
    return switch
