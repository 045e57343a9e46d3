"""Tables, registers and zones of a bridge, and how a rule is written for ovs-ofctl.

A packet goes through the tables in their order, as through the stages of the hybrid NIC. A stage
that tracks connections sends the packet through the tracker into the table after it.
"""

from __future__ import annotations

from enum import IntEnum

from control.policy.reasons import PORT_UPLINK, PORT_UPLINK2
from control.policy.view import ROUTER_MAC

TUNNEL_PORT = 100
UPLINK_GROUP = 1
GROUP_BIT = "01:00:00:00:00:00/01:00:00:00:00:00"
UPLINKS = (PORT_UPLINK, PORT_UPLINK2)


class Table(IntEnum):
    """What is decided where."""

    PORT = 0
    GUARD = 1
    NEIGHBOR = 2
    INSIDE = 3
    KNOWN = 4
    ADVERTISE = 5
    OUT = 10
    OUT_RULES = 11
    OUT_COMMIT = 12
    REPLY = 13
    CHOOSE = 15
    CHOSEN = 16
    PICKED = 17
    ROUTER = 18
    ROUTES = 19
    OUTSIDE = 20
    TRANSLATED = 21
    FORWARD = 22
    ISOLATE = 23
    SERVE = 24
    SERVED = 25
    IN = 30
    IN_RULES = 31
    IN_COMMIT = 32
    COPY = 33
    COPY_IN = 34
    FINISH = 35
    ENTER = 36
    LEAVE = 40


class Reg(IntEnum):
    """What the registers hold."""

    NETWORK = 0
    FROM = 1  # port of the sending VF
    TENANT = 2
    TO = 3  # port to leave by
    KNOWN = 4  # 1: of a connection that was decided before, no rules
    PAID = 5  # 1: the sender's quota of new connections has paid for it
    ROLE = 6
    PRIORITY = 7
    MIRROR_OUT = 8
    MIRROR_IN = 9
    MEMBER = 10  # mark of the chosen member
    ENTERS = 11  # zone of the sending VF, if a new connection is to be entered there


class Role(IntEnum):
    """Where a packet comes from. TURNED: from the uplink, and may leave by it again."""

    UPLINK = 1
    PF = 2
    VF = 3
    TURNED = 4


class Zone(IntEnum):
    """What kinds of connections are tracked apart; a VF's rules are tracked in its port's zone."""

    MEMBER = 0x4000  # | tenant: translated to the member, at the member's server
    SHARED = 0x8000  # | tenant: translated to a shared address
    CHOICE = 0xC000  # | tenant: which member was chosen, at the client's server


# Every router MAC: the prefix that all NICs share.
ANY_ROUTER = f"{ROUTER_MAC.to_bytes(6, 'big').hex(':')}/ff:ff:ff:ff:00:00"


def flow(table: int, priority: int, match: str, *actions: str) -> str:
    """One rule as ovs-ofctl reads it; without actions it drops."""
    where = f"table={int(table)},priority={priority}{',' if match else ''}{match}"
    return f"{where},actions={','.join(actions) or 'drop'}"


def load(register: Reg, value: int) -> str:
    """Action: set a register."""
    return f"set_field:{int(value)}->reg{int(register)}"


def has(register: Reg, value: int) -> str:
    """Match: a register's value."""
    return f"reg{int(register)}={int(value)}"


def goto(table: Table) -> str:
    """Action: go on in a later table."""
    return f"goto_table:{int(table)}"


def mac_text(number: int) -> str:
    """A 48-bit number as a MAC address."""
    return number.to_bytes(6, "big").hex(":")


def turn_back(role: int) -> list[str]:
    """Actions that send a packet back where it came from; on the uplink in its network's tag."""
    if role == Role.UPLINK:
        return [load(Reg.TO, PORT_UPLINK), load(Reg.ROLE, Role.TURNED), goto(Table.LEAVE)]
    return ["in_port"]


ENTER = f"resubmit(,{Table.ENTER:d})"
"""Action: enter a new connection for its sender, now that all agree or its addresses change."""

DEFAULTS = (
    (Table.GUARD, Table.NEIGHBOR),
    (Table.NEIGHBOR, Table.INSIDE),
    (Table.INSIDE, Table.OUT),
    (Table.KNOWN, Table.OUT),
    (Table.OUT, Table.REPLY),
    (Table.OUT_COMMIT, Table.REPLY),
    (Table.REPLY, Table.CHOOSE),
    (Table.CHOOSE, Table.ROUTER),
    (Table.ROUTER, Table.FORWARD),
    (Table.ISOLATE, Table.SERVE),
    (Table.SERVE, Table.IN),
    (Table.SERVED, Table.IN),
    (Table.IN, Table.FINISH),
    (Table.IN_COMMIT, Table.FINISH),
    (Table.COPY, Table.COPY_IN),
)
"""Where a packet goes on that nothing in a table matches; elsewhere it is dropped."""
