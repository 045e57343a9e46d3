"""Scalar types of the desired state, validated and normalised, and the strict base model."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

MAX_VFS = 64
MAX_PORT = 65535
_PORTS = re.compile(r"[0-9]{1,20}(-[0-9]{1,20})?")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPInterface = ipaddress.IPv4Interface | ipaddress.IPv6Interface
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


class Strict(BaseModel):
    """Base of every section: unknown keys are mistakes, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Misplaced(ValueError):
    """A mistake found by looking at the whole document; ``path`` leads to its place there."""

    def __init__(self, message: str, *path: int | str) -> None:
        super().__init__(message)
        self.path = path


def _mac(text: str) -> str:
    """Accept a unicast MAC address and return it in lower case."""
    mac = text.lower()
    if not _MAC.fullmatch(mac):
        raise ValueError(f"{text!r} is not a MAC address; write six bytes as 02:00:00:00:00:01")
    if int(mac[:2], 16) & 1:
        raise ValueError(f"{text!r} is a multicast MAC address; expected a unicast one")
    return mac


def _group_mac(text: str) -> str:
    """Accept a multicast MAC address and return it in lower case."""
    mac = text.lower()
    if not _MAC.fullmatch(mac) or not int(mac[:2], 16) & 1:
        raise ValueError(f"{text!r} is not a multicast MAC address, as 01:00:5e:00:00:01 is")
    return mac


def _address(text: str) -> str:
    """Accept an IPv4 or IPv6 address and return its canonical text."""
    return str(ipaddress.ip_address(text))


def _ipv4(text: str) -> str:
    """Accept an IPv4 address and return its canonical text."""
    return str(ipaddress.IPv4Address(text))


def _interface(text: str) -> str:
    """Accept an address with its prefix length, as in 10.0.0.1/24."""
    if "/" not in text:
        raise ValueError(f"{text!r} lacks a prefix length; write it as {text}/24")
    return str(ipaddress.ip_interface(text))


def _cidr(text: str) -> str:
    """Accept a prefix such as 10.0.0.0/8; host bits must be zero."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f"{error}; expected a prefix such as 10.0.0.0/8") from None


def _ports(value: object) -> object:
    """Accept 80, "80" or "8000-8999" as a port range; return it as text."""
    if not _PORTS.fullmatch(str(value)):
        raise ValueError(f"{value!r} is not a port; expected 80 or 8000-8999")
    first, last = port_range(str(value))
    if not 0 <= first <= last <= MAX_PORT:
        raise ValueError(f"{value!r} is not a port range within 0-{MAX_PORT}, low end first")
    return str(first) if first == last else f"{first}-{last}"


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Mac = Annotated[str, AfterValidator(_mac)]
GroupMac = Annotated[str, AfterValidator(_group_mac)]
Address = Annotated[str, AfterValidator(_address)]
Ipv4 = Annotated[str, AfterValidator(_ipv4)]
Interface = Annotated[str, AfterValidator(_interface)]
Cidr = Annotated[str, AfterValidator(_cidr)]
Ports = Annotated[str, BeforeValidator(_ports)]
Mbps = Annotated[float, Field(ge=0, le=400_000, description="megabits per second; 0 = unlimited")]
VlanId = Annotated[int, Field(ge=1, le=4094)]
Vni = Annotated[int, Field(ge=1, le=0xEFFFFF)]
Protocol = Literal["any", "tcp", "udp", "icmp", "icmpv6"]
Direction = Literal["in", "out"]
Verdict = Literal["allow", "deny"]
LinkState = Literal["auto", "enable", "disable"]
BridgeMode = Literal["veb", "vepa", "private"]
GuestModel = Literal["vdpa", "vf"]

PROTOCOL_NUMBERS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58}


def mac_number(mac: str) -> int:
    """MAC address text as a 48-bit number."""
    return int(mac.replace(":", ""), 16)


def ip_number(address: str) -> int:
    """IPv4 or IPv6 address text (a prefix length is ignored) as a number."""
    return int(ipaddress.ip_address(address.partition("/")[0]))


def is_v6(address: str) -> bool:
    """Whether an address or prefix is IPv6."""
    return ":" in address


def port_range(ports: str) -> tuple[int, int]:
    """Low and high end of a port range, both included."""
    low, _, high = ports.partition("-")
    return int(low), int(high or low)


def check_icmp_version(protocol: str, *prefixes: str | None) -> None:
    """Refuse ICMP of the one IP version with a prefix of the other: no packet is both."""
    wanted = {"icmp": False, "icmpv6": True}.get(protocol)
    for prefix in prefixes if wanted is not None else ():
        if prefix is not None and is_v6(prefix) != wanted:
            other = "icmp" if wanted else "icmpv6"
            raise ValueError(f"{protocol} has no packets of {prefix}; write {other}")
