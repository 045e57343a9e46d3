"""Drop and slow-path reasons as p4src/include/reasons.p4 numbers them, and counter indexes."""

from __future__ import annotations

from enum import IntEnum

PORT_UPLINK = 1
PORT_UPLINK2 = 2
PORT_PF = 8
PORT_VF0 = 16
PORT_CPU = 510


class DropReason(IntEnum):
    """Why a packet was dropped."""

    PORT_DOWN = 1
    UNKNOWN_NETWORK = 2
    GUEST_TAG = 3
    SPOOFED_MAC = 4
    SPOOFED_IP = 5
    RATE = 6
    STORM = 7
    POLICY_OUT = 8
    POLICY_IN = 9
    UNKNOWN_DESTINATION = 10
    VF_DOWN = 11
    ISOLATED = 12
    SAME_PORT = 13
    MALFORMED = 14
    NO_ROUTE = 15
    CONNECTION_RATE = 16
    FRAGMENT = 17
    LINK_CONTROL = 18


PUNT_NONE = 0  # what the host has sent to itself


class PuntReason(IntEnum):
    """Why a packet went to the host."""

    HELD = 1
    NEW_CONNECTION = 2
    BALANCE = 3
    NAT = 4
    RELATED = 5
    TTL = 6
    ROUTER = 7
    OVERFLOW = 8


class TrafficClass(IntEnum):
    """What a traffic counter counts."""

    UNICAST = 0
    MULTICAST = 1
    BROADCAST = 2


_WORDS = {
    DropReason.PORT_DOWN: "port not assigned or link down",
    DropReason.UNKNOWN_NETWORK: "VLAN or VNI that no VM here uses",
    DropReason.GUEST_TAG: "guest's own VLAN tag, and the VF is not trusted",
    DropReason.SPOOFED_MAC: "forged source MAC (spoofchk)",
    DropReason.SPOOFED_IP: "forged source address",
    DropReason.RATE: "above max_tx_rate",
    DropReason.STORM: "broadcast and multicast above the storm limit",
    DropReason.POLICY_OUT: "denied by the sending VM's rules",
    DropReason.POLICY_IN: "denied by the receiving VM's rules",
    DropReason.UNKNOWN_DESTINATION: "no such destination in the network",
    DropReason.VF_DOWN: "destination VF not in use or its link down",
    DropReason.ISOLATED: "VFs are isolated from each other (private)",
    DropReason.SAME_PORT: "would go back to where it came from",
    DropReason.MALFORMED: "headers cut short or contradictory",
    DropReason.NO_ROUTE: "no route in the tenant",
    DropReason.CONNECTION_RATE: "more new connections per second than the quota",
    DropReason.FRAGMENT: "later fragment, and the rules ask for ports",
    DropReason.LINK_CONTROL: "frame of the link itself (LLDP, STP, pause) from a guest",
}


def label(reason: DropReason) -> str:
    """A drop reason in the operator's words."""
    return _WORDS[reason]


_SLOW_PATH_WORDS = {
    PuntReason.HELD: "the VM is frozen for its migration: the host holds the frame",
    PuntReason.NEW_CONNECTION: "first packet of a connection: the host installs the pair",
    PuntReason.BALANCE: "new connection to a virtual service: the host chooses the member",
    PuntReason.NAT: "new connection to outside: the host chooses the source port",
    PuntReason.RELATED: "ICMP error: the host knows whether it belongs to a connection",
    PuntReason.TTL: "time to live ended at the router",
    PuntReason.OVERFLOW: "denied, but perhaps of a connection beyond the table: the host knows",
    PuntReason.ROUTER: "for the router itself: a gateway or service address",
}


def slow_path_label(reason: PuntReason) -> str:
    """A slow-path reason in the operator's words."""
    return _SLOW_PATH_WORDS[reason]


def vf_port(vf: int) -> int:
    """Port number of VF ``vf``."""
    return PORT_VF0 + vf


def drop_index(port: int, reason: int) -> int:
    """Index in drop_counter of one port's drops for one reason."""
    return port * 64 + reason


def traffic_index(port: int, traffic_class: int) -> int:
    """Index in from_port_counter and to_port_counter."""
    return port * 4 + traffic_class
