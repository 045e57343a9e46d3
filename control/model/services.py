"""What the NICs do for VMs beyond switching: groups of rules, balancers, routers, mirrors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from control.model.types import (
    Cidr,
    Direction,
    Ipv4,
    Mac,
    Name,
    Ports,
    Protocol,
    Strict,
    Verdict,
    check_icmp_version,
    port_range,
)

Priority = Annotated[int, Field(ge=1, le=60_000, description="the higher one wins")]
PORT_PROTOCOLS = ("tcp", "udp")


class GroupRule(Strict):
    """One rule of a security group, seen from its members; ``ports`` are the destination's."""

    direction: Direction = "in"
    action: Verdict = "allow"
    protocol: Protocol = "any"
    remote: Cidr | None = None
    remote_group: Name | None = None
    ports: Ports | None = None
    remote_ports: Annotated[Ports | None, Field(description="source ports of what comes in")] = None
    mirror: Annotated[Name | None, Field(description="copy what it allows to this mirror")] = None
    priority: Priority = 1000

    @model_validator(mode="after")
    def _sensible(self) -> GroupRule:
        if (self.ports or self.remote_ports) and self.protocol not in PORT_PROTOCOLS:
            raise ValueError("a rule with ports needs protocol tcp or udp")
        check_icmp_version(self.protocol, self.remote)
        if self.remote and self.remote_group:
            raise ValueError("give remote or remote_group, not both")
        if self.mirror and self.action == "deny":
            raise ValueError("only an allow rule can mirror; what is denied goes nowhere")
        return self


class SecurityGroup(Strict):
    """Rules for the VMs that name it; what no rule allows is denied.

    Out of the VM everything is allowed unless one of its groups has rules for that direction.
    """

    name: Name
    stateful: bool = True
    rules: list[GroupRule] = []


class Member(Strict):
    """One server of a balanced service; ``drain`` keeps its connections and takes no new ones."""

    vm: Name
    port: Annotated[int, Field(ge=1, le=65535)]
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    drain: bool = False


class HealthCheck(Strict):
    """How members are probed: a TCP connection each ``interval_s``, out after ``failures``."""

    interval_s: Annotated[float, Field(gt=0, le=3600)] = 1.0
    failures: Annotated[int, Field(ge=1, le=100)] = 3


class LoadBalancer(Strict):
    """A virtual service: address and port that stand for weighted members."""

    name: Name
    network: Name
    address: Ipv4
    protocol: Literal["tcp", "udp"] = "tcp"
    port: Annotated[int, Field(ge=1, le=65535)]
    members: list[Member] = []
    health: HealthCheck | None = None


class SourceNat(Strict):
    """The outside address that one NIC's VMs share when they have none of their own."""

    nic: Name
    address: Ipv4
    ports: Ports = "20000-59999"

    @model_validator(mode="after")
    def _no_port_zero(self) -> SourceNat:
        if port_range(self.ports)[0] == 0:
            raise ValueError(f"ports are {self.ports}; no packet has port 0, begin with 1 or above")
        return self


class Router(Strict):
    """A tenant's way outside: the plain network, and the gateway's MAC there."""

    tenant: Name
    outside: Name
    gateway_mac: Mac
    snat: list[SourceNat] = []


class FloatingIp(Strict):
    """An outside address of one VM, in both directions."""

    address: Ipv4
    vm: Name


class Route(Strict):
    """A prefix of a tenant behind one of its VMs."""

    tenant: Name
    prefix: Cidr
    via_vm: Name


class Mirror(Strict):
    """A copy of traffic to a port: of a VM (``vm``), or of rules that name the mirror."""

    name: Name
    id: Annotated[int, Field(ge=1, le=255, description="clone session")]
    vm: Name | None = None
    direction: Literal["in", "out", "both"] = "both"
    to_vm: Name | None = None
    to_port: Literal["pf", "uplink"] | None = None
    bytes: Annotated[int, Field(ge=0, le=65535, description="0 = whole packets")] = 0

    @model_validator(mode="after")
    def _one_target(self) -> Mirror:
        if (self.to_vm is None) == (self.to_port is None):
            raise ValueError(f"mirror {self.name}: give either to_vm or to_port")
        if 0 < self.bytes < 64:
            raise ValueError(f"mirror {self.name}: bytes is {self.bytes}; expected 0 or >= 64")
        return self
