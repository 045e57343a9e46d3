"""Multicast groups and clone sessions (spec, "PacketReplicationEngineEntry").

The messages are kept, so that a read returns them as written; the engine gets the data plane's
view. Ids and instances are as wide as simple_switch's: 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from typing import TypeVar

from finsy.proto import p4r

from p4native.p4runtime.codec import canonical, decode_port
from p4native.p4runtime.entities.updates import known_type
from p4native.p4runtime.errors import already_exists, invalid_argument, not_found
from p4native.p4runtime.pipeline import LoadedPipeline
from p4native.switch.device import CloneSession, Replica
from p4native.switch.draft import Draft

_MAX_GROUP = 0xFFFF
_MAX_SESSION = 0x7FFF
_MAX_INSTANCE = 0xFFFF
_MAX_PORT = 0xFFFF
_MAX_CLASS_OF_SERVICE = 7
_Message = TypeVar("_Message", p4r.MulticastGroupEntry, p4r.CloneSessionEntry)


def write(
    draft: Draft, loaded: LoadedPipeline, kind: int, message: p4r.PacketReplicationEngineEntry,
    *, cpu_port: int | None,
) -> None:  # fmt: skip
    """Insert, modify or delete a multicast group or a clone session."""
    which = message.WhichOneof("type")
    if which == "multicast_group_entry":
        _write_group(draft, loaded, cpu_port, kind, message.multicast_group_entry)
    elif which == "clone_session_entry":
        _write_session(draft, loaded, cpu_port, kind, message.clone_session_entry)
    else:
        raise invalid_argument("packet replication entry names neither a group nor a session")


def read(loaded: LoadedPipeline, message: p4r.PacketReplicationEngineEntry) -> Iterator[p4r.Entity]:
    """Yield groups or sessions as written: all of them for id 0, NOT_FOUND for an unknown id."""
    which = message.WhichOneof("type")
    if which == "multicast_group_entry":
        wanted = message.multicast_group_entry.multicast_group_id
        for group in _by_id(loaded.multicast_groups, wanted):
            entry = p4r.PacketReplicationEngineEntry(multicast_group_entry=group)
            yield p4r.Entity(packet_replication_engine_entry=entry)
    elif which == "clone_session_entry":
        wanted = message.clone_session_entry.session_id
        for session in _by_id(loaded.clone_sessions, wanted):
            entry = p4r.PacketReplicationEngineEntry(clone_session_entry=session)
            yield p4r.Entity(packet_replication_engine_entry=entry)
    else:
        raise invalid_argument("packet replication entry names neither a group nor a session")


def _by_id(known: MutableMapping[int, _Message], wanted: int) -> list[_Message]:
    """Return all by id for 0; NOT_FOUND for one that does not exist, as simple_switch does."""
    if wanted == 0:
        return [known[number] for number in sorted(known)]
    if wanted not in known:
        raise not_found(f"there is no multicast group or clone session {wanted}")
    return [known[wanted]]


def _write_group(
    draft: Draft, loaded: LoadedPipeline, cpu_port: int | None, kind: int,
    message: p4r.MulticastGroupEntry,
) -> None:  # fmt: skip
    number = message.multicast_group_id
    what = f"multicast group {number}"
    _check(what, kind, number, _MAX_GROUP, loaded.multicast_groups)
    if kind == p4r.Update.DELETE:
        loaded.state.set_multicast_group(number, None, draft)
        draft.drop(loaded.multicast_groups, number)
        return
    loaded.state.set_multicast_group(number, _replicas(what, cpu_port, message.replicas), draft)
    stored: p4r.MulticastGroupEntry = _canonical(message)
    draft.put(loaded.multicast_groups, number, stored)


def _write_session(
    draft: Draft, loaded: LoadedPipeline, cpu_port: int | None, kind: int,
    message: p4r.CloneSessionEntry,
) -> None:  # fmt: skip
    number = message.session_id
    what = f"clone session {number}"
    _check(what, kind, number, _MAX_SESSION, loaded.clone_sessions)
    if kind == p4r.Update.DELETE:
        loaded.state.set_clone_session(number, None, draft)
        draft.drop(loaded.clone_sessions, number)
        return
    loaded.state.set_clone_session(number, _session(what, cpu_port, message), draft)
    draft.put(loaded.clone_sessions, number, _canonical(message))


def _session(what: str, cpu_port: int | None, message: p4r.CloneSessionEntry) -> CloneSession:
    """Return the data plane's view of a session, checked."""
    replicas = _replicas(what, cpu_port, message.replicas)
    if message.class_of_service > _MAX_CLASS_OF_SERVICE:
        raise invalid_argument(
            f"{what}: class of service {message.class_of_service}, "
            f"expected 0..{_MAX_CLASS_OF_SERVICE}"
        )
    if message.packet_length_bytes < 0:
        raise invalid_argument(f"{what}: packet length {message.packet_length_bytes} is negative")
    return CloneSession(replicas, message.class_of_service, message.packet_length_bytes)


def _check(
    what: str, kind: int, number: int, limit: int, known: MutableMapping[int, _Message]
) -> None:
    """Check id and existence."""
    known_type(what, kind)
    if not 0 < number <= limit:
        raise invalid_argument(f"{what}: expected an id in 1..{limit}")
    if kind == p4r.Update.INSERT and number in known:
        raise already_exists(f"{what} exists already; MODIFY it")
    if kind != p4r.Update.INSERT and number not in known:
        raise not_found(f"{what} does not exist; INSERT it")


def _replicas(
    what: str, cpu_port: int | None, messages: Iterable[p4r.Replica]
) -> tuple[Replica, ...]:
    """Return the data plane's view; INVALID_ARGUMENT if a pair of port and instance is repeated."""
    replicas = [
        Replica(
            *_pair(what, cpu_port, message),
            tuple(Replica(*_pair(what, cpu_port, backup)) for backup in message.backup_replicas),
        )
        for message in messages
    ]
    seen: set[tuple[int, int]] = set()
    for replica in replicas:
        for each in (replica, *replica.backups):
            if (each.port, each.instance) in seen:
                raise invalid_argument(
                    f"{what}: port {each.port} with instance {each.instance} is given twice"
                )
            seen.add((each.port, each.instance))
        if any(backup.port == replica.port for backup in replica.backups):
            raise invalid_argument(f"{what}: port {replica.port} is among its own backups")
    return tuple(replicas)


def _pair(
    what: str, cpu_port: int | None, message: p4r.Replica | p4r.BackupReplica
) -> tuple[int, int]:
    """Return port and instance, checked."""
    if isinstance(message, p4r.Replica) and message.WhichOneof("port_kind") == "egress_port":
        port = message.egress_port
    else:
        port = decode_port(message.port, cpu_port, f"{what}: replica port")
    if port > _MAX_PORT:
        raise invalid_argument(f"{what}: port {port}, expected at most {_MAX_PORT}")
    if message.instance > _MAX_INSTANCE:
        raise invalid_argument(
            f"{what}: instance {message.instance}, expected at most {_MAX_INSTANCE}"
        )
    return port, message.instance


def _canonical(message: _Message) -> _Message:
    """Return a copy whose byte strings are canonical."""
    stored = type(message)()
    stored.CopyFrom(message)
    for replica in stored.replicas:
        if replica.WhichOneof("port_kind") == "port":
            replica.port = canonical(replica.port)
        for backup in replica.backup_replicas:
            backup.port = canonical(backup.port)
    return stored
