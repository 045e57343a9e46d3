"""A lab topology as data: servers with one NIC each, their VMs, and the top-of-rack switch."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

MAX_VFS = 64
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def _mac(text: str) -> str:
    """Accept a unicast MAC address and return it in lower case."""
    mac = text.lower()
    if not _MAC.fullmatch(mac):
        raise ValueError(f"{text!r} is not a MAC address; write six bytes as 02:00:00:00:00:01")
    if int(mac[:2], 16) & 1:
        raise ValueError(f"{text!r} is a multicast MAC address; a VM needs a unicast one")
    return mac


def _interface(text: str) -> str:
    """Accept an IPv4 address with its prefix length, as in 10.0.0.1/24."""
    if "/" not in text:
        raise ValueError(f"{text!r} lacks a prefix length; write it as {text}/24")
    return str(ipaddress.IPv4Interface(text))


# Names become parts of interface names, of which the kernel allows 15 characters.
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,7}$")]
Mac = Annotated[str, AfterValidator(_mac)]
Interface = Annotated[str, AfterValidator(_interface)]
GuestModel = Literal["vdpa", "vf"]


class Strict(BaseModel):
    """Base of every section: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class VmSpec(Strict):
    """One virtual machine: its addresses, its VF and how the VF reaches the guest."""

    name: Name
    ip: Interface
    mac: Mac
    vf: Annotated[int, Field(ge=0, lt=MAX_VFS)]
    model: GuestModel = "vdpa"
    memory_mib: Annotated[int, Field(ge=1, le=65536)] = 64


class NicSpec(Strict):
    """One NIC: its name and the number of VFs it offers."""

    name: Name
    vfs: Annotated[int, Field(ge=1, le=MAX_VFS)] = 8


class ServerSpec(Strict):
    """One server: PF address, NIC, and the VMs that start on it."""

    name: Name
    ip: Interface
    mac: Mac
    nic: NicSpec
    vms: list[VmSpec] = []

    @model_validator(mode="after")
    def _vfs_fit(self) -> ServerSpec:
        taken: dict[int, str] = {}
        for vm in self.vms:
            if vm.vf >= self.nic.vfs:
                raise ValueError(
                    f"{vm.name} wants VF {vm.vf}, but {self.nic.name} has VFs 0..{self.nic.vfs - 1}"
                )
            if vm.vf in taken:
                raise ValueError(f"{vm.name} and {taken[vm.vf]} both want VF {vm.vf}")
            taken[vm.vf] = vm.name
        return self


class Topology(Strict):
    """A whole lab. Names, MAC and IP addresses are unique throughout."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    description: str
    tor: Name = "tor"
    servers: Annotated[list[ServerSpec], Field(min_length=1, max_length=16)]

    @model_validator(mode="after")
    def _unique(self) -> Topology:
        names = [self.tor, *(n for s in self.servers for n in (s.name, s.nic.name))]
        names += [vm.name for vm in self.vms]
        _no_repeats("name", names)
        _no_repeats("MAC address", [s.mac for s in self.servers] + [v.mac for v in self.vms])
        _no_repeats("IP address", [s.ip for s in self.servers] + [v.ip for v in self.vms])
        return self

    @property
    def vms(self) -> list[VmSpec]:
        """Every VM, in file order."""
        return [vm for server in self.servers for vm in server.vms]


def _no_repeats(what: str, values: list[str]) -> None:
    """Refuse a list in which a value occurs twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{what} {value} is used {values.count(value)} times; expected once")
