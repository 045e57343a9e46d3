"""The desired state of a lab: servers, NICs, networks, VMs and what rules their traffic."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from control.model.addresses import check_addresses
from control.model.checks import check_capacity, check_references, check_unique
from control.model.services import (
    FloatingIp,
    LoadBalancer,
    Mirror,
    Route,
    Router,
    SecurityGroup,
)
from control.model.types import (
    MAX_VFS,
    BridgeMode,
    Cidr,
    Direction,
    GuestModel,
    Interface,
    Ipv4,
    LinkState,
    Mac,
    Mbps,
    Name,
    Ports,
    Protocol,
    Strict,
    Verdict,
    VlanId,
    Vni,
    check_icmp_version,
    is_v6,
)

UNTAGGED_ID = 4095
OVERLAY_IDS = 8_192
REDIRECT_VNI = 0xF00000
TUNNEL_MAC_PREFIX = 0x064E4943
ROUTER_MAC_PREFIX = 0x064E4952


class Nic(Strict):
    """One NIC: its VFs, its uplinks and its end of the tunnels between servers."""

    name: Name
    id: Annotated[int, Field(ge=1, le=4095, description="number of its tunnel end, lab-wide")]
    vfs: Annotated[int, Field(ge=1, le=MAX_VFS)] = 8
    mode: BridgeMode = "veb"
    uplinks: Annotated[int, Field(ge=1, le=2)] = 1
    bond: Literal["active-backup", "hash"] = "active-backup"
    link_mbps: Mbps = 0
    tunnel_ip: Ipv4 | None = None
    underlay_gateway: Mac | None = None

    @property
    def tunnel_mac(self) -> str:
        """MAC address of the tunnel end: the parser's prefix, then the NIC's id."""
        digits = f"{(TUNNEL_MAC_PREFIX << 16) | self.id:012x}"
        return ":".join(digits[i : i + 2] for i in range(0, 12, 2))

    @property
    def router_mac(self) -> str:
        """MAC address of its router towards the outside: the router prefix, then the NIC's id."""
        digits = f"{(ROUTER_MAC_PREFIX << 16) | self.id:012x}"
        return ":".join(digits[i : i + 2] for i in range(0, 12, 2))

    @property
    def tunnel_address(self) -> str:
        """Underlay address of the tunnel end; 172.31.x.y after the id unless given."""
        return self.tunnel_ip or f"172.31.{self.id >> 8}.{self.id & 255}"


class Server(Strict):
    """One server: its NIC, and its own addresses behind the PF."""

    name: Name
    nic: Name
    mac: Mac
    ips: list[Interface] = []


class Network(Strict):
    """One broadcast domain: untagged (the default), a VLAN, or an overlay by VNI."""

    name: Name
    vlan: VlanId | None = None
    vlan_protocol: Literal["802.1q", "802.1ad"] = "802.1q"
    vni: Vni | None = None
    unknown: Literal["drop", "flood"] = "drop"
    tenant: Annotated[Name | None, Field(description="networks of a tenant are routed")] = None
    gateways: Annotated[list[Interface], Field(description="the router's addresses here")] = []
    storm_pps: Annotated[int, Field(ge=0, description="broadcast limit per VF; 0 = none")] = 0

    @model_validator(mode="after")
    def _one_encapsulation(self) -> Network:
        if self.vlan is not None and self.vni is not None:
            raise ValueError(f"network {self.name} has vlan and vni; give one of them")
        return self

    @property
    def id(self) -> int:
        """Number in the NIC's tables: VLAN id, 4095 if untagged, above for overlays."""
        if self.vni is not None:
            return UNTAGGED_ID + 1 + self.vni % OVERLAY_IDS
        return UNTAGGED_ID if self.vlan is None else self.vlan

    @property
    def wire_vni(self) -> int:
        """VNI in tunnels; VLAN networks have one too, for frames that follow a moved VM."""
        return REDIRECT_VNI + self.id if self.vni is None else self.vni

    @property
    def tenant_name(self) -> str:
        """The address space it belongs to: its tenant's, or its own."""
        return self.tenant or self.name

    @property
    def overlay(self) -> bool:
        """Whether frames leave the server only in tunnels."""
        return self.vni is not None


class Vm(Strict):
    """One VM: where it runs, its addresses and how its VF is set."""

    name: Name
    server: Name
    vf: Annotated[int, Field(ge=0, lt=MAX_VFS)]
    mac: Mac
    ips: list[Interface] = []
    network: Name
    model: GuestModel = "vdpa"
    memory_mib: Annotated[int, Field(ge=1, le=65536)] = 64
    spoofchk: bool = True
    source_guard: Annotated[bool, Field(description="only its own IP addresses")] = True
    trust: bool = False
    vlan: Annotated[VlanId | None, Field(description="instead of the network's own")] = None
    vlan_protocol: Literal["802.1q", "802.1ad"] = "802.1q"
    qos: Annotated[int, Field(ge=0, le=7)] = 0
    max_tx_rate: Mbps = 0
    min_tx_rate: Mbps = 0
    state: LinkState = "auto"
    groups: list[Name] = []
    max_connections: Annotated[int, Field(ge=0, description="0 = unlimited")] = 10_000
    max_new_connections: Annotated[int, Field(ge=0, description="per second; 0 = any")] = 5_000


class Placement(Strict):
    """Where a VM is seen: one normally, two (source and destination) while it migrates.

    ``active``: it runs here. ``prepared``: everything is installed and its VF may send, but its
    addresses still lead to the other place. ``parked``: frozen; frames to it go to the host.
    ``moved``: it runs at the other place, to which frames that still arrive here are sent on.
    """

    vm: Name
    nic: Name
    vf: Annotated[int, Field(ge=0, lt=MAX_VFS)]
    role: Literal["active", "prepared", "parked", "moved"] = "active"

    @property
    def is_home(self) -> bool:
        """Whether the VM's addresses lead here."""
        return self.role in ("active", "parked")


class AclRule(Strict):
    """One filter on VMs' traffic, seen from the VM: ``in`` is towards it, ``out`` from it."""

    name: Name
    vm: Name | None = None
    direction: Direction = "in"
    action: Verdict = "deny"
    protocol: Protocol = "any"
    src: Cidr | None = None
    dst: Cidr | None = None
    src_ports: Ports | None = None
    dst_ports: Ports | None = None
    priority: Annotated[int, Field(ge=1, le=60_000)] = 1000

    @model_validator(mode="after")
    def _sensible(self) -> AclRule:
        if (self.src_ports or self.dst_ports) and self.protocol not in ("tcp", "udp"):
            raise ValueError(f"rule {self.name} has ports; its protocol must be tcp or udp")
        check_icmp_version(self.protocol, self.src, self.dst)
        if self.src and self.dst and is_v6(self.src) != is_v6(self.dst):
            raise ValueError(f"rule {self.name} mixes IPv4 and IPv6; use two rules")
        return self


_Named = TypeVar("_Named", Nic, Network, Vm, Server)


class DesiredState(Strict):
    """Everything the operator wants; names are unique and references resolve."""

    servers: list[Server]
    nics: list[Nic]
    networks: list[Network]
    vms: list[Vm] = []
    groups: list[SecurityGroup] = []
    acl: list[AclRule] = []
    load_balancers: list[LoadBalancer] = []
    routers: list[Router] = []
    floating: list[FloatingIp] = []
    routes: list[Route] = []
    mirrors: list[Mirror] = []

    @model_validator(mode="after")
    def _consistent(self) -> DesiredState:
        check_unique(self)
        check_references(self)
        check_addresses(self)
        check_capacity(self)
        return self

    def tenant_id(self, tenant: str) -> int:
        """Number of an address space: the lowest of its networks' numbers; 0 if it has none."""
        return min((n.id for n in self.networks if n.tenant_name == tenant), default=0)

    def router(self, tenant: str) -> Router | None:
        """The tenant's router, if it has one."""
        return next((r for r in self.routers if r.tenant == tenant), None)

    def nic(self, name: str) -> Nic:
        """The NIC of that name; KeyError if there is none."""
        return _find(self.nics, name)

    def network(self, name: str) -> Network:
        """The network of that name; KeyError if there is none."""
        return _find(self.networks, name)

    def vm(self, name: str) -> Vm:
        """The VM of that name; KeyError if there is none."""
        return _find(self.vms, name)

    def server(self, name: str) -> Server:
        """The server of that name; KeyError if there is none."""
        return _find(self.servers, name)

    def segment(self, vm: Vm) -> Network:
        """The broadcast domain of a VM: its network, or the VLAN set on its VF."""
        if vm.vlan is None:
            return self.network(vm.network)
        for network in self.networks:
            if network.vlan == vm.vlan:
                return network
        return Network(name=f"vlan{vm.vlan}", vlan=vm.vlan, vlan_protocol=vm.vlan_protocol)

    def server_of_nic(self, nic: str) -> Server | None:
        """The server that holds a NIC, if any."""
        return next((s for s in self.servers if s.nic == nic), None)


def _find(items: list[_Named], name: str) -> _Named:
    for item in items:
        if item.name == name:
            return item
    raise KeyError(name)
