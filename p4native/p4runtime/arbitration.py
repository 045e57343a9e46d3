"""Which client is primary, per device and role (spec, "Client Arbitration").

A role remembers the highest election id it ever saw. Its primary is the live client that carries
that id; when the primary leaves, the role has none until somebody comes with an id as high.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from finsy.proto import p4r, rpc_code, rpc_status
from google.protobuf.any_pb2 import Any

from p4native.p4runtime.errors import (
    failed_precondition,
    invalid_argument,
    not_found,
    permission_denied,
    resource_exhausted,
)
from p4native.p4runtime.roles import DEFAULT_ROLE, FULL_ACCESS, RoleScope, parse_scope, role_key

MAX_STREAMS = 256
"""Live streams per device and role."""
MAX_ROLES = 256
"""Roles remembered per device."""


class Client(Protocol):
    """A live stream: where its notifications go."""

    def send(self, message: p4r.StreamMessageResponse) -> None:
        """Queue `message` without blocking."""

    def send_packets(self, packets: Iterable[bytes]) -> None:
        """Queue encoded packet-ins in order without blocking."""


@dataclass(slots=True)
class _Seat:
    """A live client of a role; `election_id` None never becomes primary."""

    client: Client
    election_id: int | None


@dataclass(slots=True)
class _Role:
    name: str
    message: p4r.Role | None
    scope: RoleScope = FULL_ACCESS
    config: Any | None = None
    highest: int | None = None
    primary: _Seat | None = None
    seats: list[_Seat] = field(default_factory=list)
    writing: int = 0
    # Serialises arbitration of this role, across a hand-over that waits for writes.
    turn: threading.Lock = field(default_factory=threading.Lock)


def election_value(message: p4r.Uint128) -> int:
    """Return the 128-bit election id as an integer."""
    return (message.high << 64) | message.low


class Arbiter:
    """The sessions of one device. Every method may be called from any thread."""

    def __init__(self, device_id: int, max_streams: int = MAX_STREAMS) -> None:
        """Serve device `device_id`, with at most `max_streams` live streams per role."""
        self.device_id = device_id
        self._max_streams = max_streams
        self._roles: dict[str, _Role] = {DEFAULT_ROLE: _Role(DEFAULT_ROLE, None)}
        self._role_of: dict[Client, _Role] = {}
        self._state = threading.Condition()

    def arbitrate(self, client: Client, update: p4r.MasterArbitrationUpdate) -> None:
        """Seat or reseat `client` and notify; the error raised must terminate its stream."""
        election_id = _election_id(update)
        role, scope = self._role_for(client, update)
        with role.turn:
            with self._state:
                seat = self._seat(role, client, election_id)
                leads = election_id is not None and election_id >= (role.highest or 0)
                if not leads:
                    self._stay_backup(role, seat)
                    return
                self._revoke(role, seat, election_id, update, scope)
            self._hand_over(role, seat)

    def leave(self, client: Client) -> None:
        """Forget a client whose stream ended; backups hear that the role has no primary."""
        with self._state:
            role = self._role_of.pop(client, None)
            if role is None:
                return
            role.seats = [seat for seat in role.seats if seat.client is not client]
            if role.primary is not None and role.primary.client is client:
                role.primary = None
                self._notify(role, role.seats)

    @contextmanager
    def writing(self, role_name: str, election_id: p4r.Uint128 | None) -> Iterator[RoleScope]:
        """Hold the right to write; a hand-over waits until the block ends.

        NOT_FOUND for a role never seen, PERMISSION_DENIED unless the id is the primary's.
        """
        with self._state:
            role = self._roles.get(role_name)
            if role is None:
                raise not_found(f"device {self.device_id} has no role {role_name!r}")
            self._check_primary(role, election_id)
            role.writing += 1
        try:
            yield role.scope
        finally:
            with self._state:
                role.writing -= 1
                self._state.notify_all()

    def primary_scope(self, client: Client) -> RoleScope | None:
        """Return the scope of `client`'s role if it is the primary, else None."""
        with self._state:
            role = self._role_of.get(client)
            if role is None or role.primary is None or role.primary.client is not client:
                return None
            return role.scope

    def primaries(self) -> list[tuple[Client, RoleScope]]:
        """Return the primary of each role that has one, with the role's scope."""
        with self._state:
            return [
                (role.primary.client, role.scope)
                for role in self._roles.values()
                if role.primary is not None
            ]

    def excluded_ids(self, role_name: str) -> frozenset[int]:
        """Return the P4 ids that other roles hold exclusively."""
        with self._state:
            others = (r.scope.exclusive for r in self._roles.values() if r.name != role_name)
            return frozenset().union(*others)

    def scope(self, role_name: str) -> RoleScope:
        """Return a role's scope; NOT_FOUND for a role never seen."""
        with self._state:
            role = self._roles.get(role_name)
        if role is None:
            raise not_found(f"device {self.device_id} has no role {role_name!r}")
        return role.scope

    def _role_for(
        self, client: Client, update: p4r.MasterArbitrationUpdate
    ) -> tuple[_Role, RoleScope]:
        """Return the role that an update names, made if it is new, and the scope it asks for."""
        if update.device_id != self.device_id:
            raise failed_precondition(
                f"stream belongs to device {self.device_id}, update names {update.device_id}; "
                "open another stream"
            )
        name = role_key(update.role.name, update.role.id)
        with self._state:
            role = self._role_of.get(client)
            if role is not None and role.name != name:
                raise failed_precondition(
                    f"stream belongs to role {role.name!r}, update names {name!r}; "
                    "open another stream"
                )
            scope = parse_scope(name, update.role.config if update.HasField("role") else None)
            role = self._roles.get(name)
            if role is not None:
                return role, scope
            if len(self._roles) >= MAX_ROLES:
                raise resource_exhausted(f"device {self.device_id} has {MAX_ROLES} roles already")
            role = self._roles[name] = _Role(name, p4r.Role(name=update.role.name))
            if not update.role.name:
                role.message = p4r.Role(id=update.role.id)
            return role, scope

    def _seat(self, role: _Role, client: Client, election_id: int | None) -> _Seat:
        """Record the client and its id; refuse a duplicate id and a stream too many."""
        own = next((seat for seat in role.seats if seat.client is client), None)
        taken = any(seat.election_id == election_id for seat in role.seats if seat is not own)
        if election_id is not None and taken:
            # finsy looks for "election id … used" and tries the next one.
            raise invalid_argument(
                f"election id {election_id} is already used by another client of device "
                f"{self.device_id}, role {role.name!r}; choose another"
            )
        if own is None:
            if len(role.seats) >= self._max_streams:
                raise resource_exhausted(
                    f"device {self.device_id}, role {role.name!r}: "
                    f"{self._max_streams} streams are open already"
                )
            own = _Seat(client, election_id)
            role.seats.append(own)
            self._role_of[client] = role
        own.election_id = election_id
        return own

    def _stay_backup(self, role: _Role, seat: _Seat) -> None:
        """Tell a backup how things are; all of them, if it was the primary until now."""
        if role.primary is seat:
            role.primary = None
            self._notify(role, role.seats)
        else:
            self._notify(role, [seat])

    def _revoke(
        self,
        role: _Role,
        seat: _Seat,
        election_id: int | None,
        update: p4r.MasterArbitrationUpdate,
        scope: RoleScope,
    ) -> None:
        """Stop the previous primary's writes and announce the new one to the others."""
        config = update.role.config if update.role.HasField("config") else None
        changed = role.primary is not seat or role.highest != election_id or role.config != config
        role.primary, role.highest = None, election_id
        role.config, role.scope = config, scope
        if changed:
            others = [other for other in role.seats if other is not seat]
            self._notify(role, others, has_primary=True)

    def _hand_over(self, role: _Role, seat: _Seat) -> None:
        """Make `seat` primary once writes in flight are done, unless it left meanwhile."""
        with self._state:
            self._state.wait_for(lambda: role.writing == 0)
            if seat in role.seats:
                role.primary = seat
                self._notify(role, [seat])
            else:
                self._notify(role, role.seats)

    def _check_primary(self, role: _Role, election_id: p4r.Uint128 | None) -> None:
        given = None if election_id is None else election_value(election_id)
        if role.primary is not None and given == role.primary.election_id:
            return
        state = "no client is" if role.primary is None else f"{role.primary.election_id} is"
        raise permission_denied(
            f"election id {given} is not primary for device {self.device_id}, "
            f"role {role.name!r}: {state}; arbitrate on a stream first"
        )

    def _notify(self, role: _Role, seats: list[_Seat], has_primary: bool | None = None) -> None:
        """Send the advisory message to `seats` (spec, "Client Arbitration Notifications")."""
        if has_primary is None:
            has_primary = role.primary is not None
        for seat in seats:
            if seat is role.primary:
                status = rpc_status.Status(code=rpc_code.OK, message="primary")
            elif has_primary:
                status = rpc_status.Status(code=rpc_code.ALREADY_EXISTS, message="backup")
            else:
                status = rpc_status.Status(code=rpc_code.NOT_FOUND, message="no primary")
            seat.client.send(p4r.StreamMessageResponse(arbitration=self._advice(role, status)))

    def _advice(self, role: _Role, status: rpc_status.Status) -> p4r.MasterArbitrationUpdate:
        advice = p4r.MasterArbitrationUpdate(device_id=self.device_id, status=status)
        if role.message is not None:
            advice.role.CopyFrom(role.message)
        if role.config is not None:
            advice.role.config.CopyFrom(role.config)
        if role.highest is not None:
            advice.election_id.high = role.highest >> 64
            advice.election_id.low = role.highest & 0xFFFF_FFFF_FFFF_FFFF
        return advice


def _election_id(update: p4r.MasterArbitrationUpdate) -> int | None:
    if not update.HasField("election_id"):
        return None
    value = election_value(update.election_id)
    if value == 0:
        raise invalid_argument("election id 0: give an id above 0, or none to be a backup")
    return value
