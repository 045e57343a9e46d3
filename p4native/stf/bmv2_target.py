"""The BMv2 target: tables, counters, meters and replication over P4Runtime.

BMv2's P4Runtime server has no registers; those go through ``simple_switch_CLI``.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

from finsy.proto import p4i, p4r

from p4native.stf.bmv2_dataplane import Dataplane
from p4native.stf.bmv2_process import CLI, DEVICE_ID, Bmv2Process, require_binary
from p4native.stf.errors import StfError, TargetError
from p4native.stf.p4runtime_client import P4RuntimeClient
from p4native.stf.schema import BoundAction, Entry, Table
from p4native.stf.script import Rate
from p4native.stf.target import Count
from p4native.stf.values import KeyMatch

_CLI_SECONDS = 20.0
_MICROSECONDS = 1_000_000


def _number(value: int) -> bytes:
    """P4Runtime's canonical byte string of a number."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _by_name(objects: Any, name: str, what: str) -> Any:
    """The P4Info object called ``name``, or the only one whose name ends so."""
    found = [item for item in objects if item.preamble.name == name]
    found = found or [item for item in objects if item.preamble.name.endswith("." + name)]
    if len(found) != 1:
        known = ", ".join(item.preamble.name for item in objects) or "none"
        raise StfError(f"there is no {what} '{name}'; the program has {known}")
    return found[0]


class Bmv2Target:
    """A private ``simple_switch_grpc`` with one program; see ``target.Target``."""

    def __init__(self, program_json: bytes, p4info: p4i.P4Info) -> None:
        self._p4info = p4info
        self._entries: list[p4r.TableEntry] = []
        self._groups: set[int] = set()
        self._sessions: set[int] = set()
        self._process = Bmv2Process()
        try:
            self._client = P4RuntimeClient(self._process.control, DEVICE_ID)
            self._client.set_pipeline(p4info, program_json)
            self._dataplane = Dataplane(self._process.packets, DEVICE_ID)
            self._dataplane.wait_ready()
        except TargetError:
            self._process.close()
            raise

    def close(self) -> None:
        """Stops the switch."""
        self._client.close()
        self._process.close()

    def send(self, port: int, data: bytes) -> None:
        """Injects a packet."""
        self._dataplane.send(port, data)

    def settle(self, expected: Mapping[int, int]) -> None:
        """Waits for the switch to be empty; it knows, so ``expected`` is not needed."""
        try:
            self._dataplane.barrier()
        except TargetError as fault:
            if self._process.alive():
                raise
            raise TargetError(f"BMv2 died ({self._process.log_tail()})") from fault

    def outputs(self) -> list[tuple[int, bytes]]:
        """Packets out so far."""
        return self._dataplane.received

    def insert(self, entry: Entry) -> int:
        """Adds an entry; an action profile gets a member of its own for it."""
        table = _by_name(self._p4info.tables, entry.table.name, "table")
        message = p4r.TableEntry(table_id=table.preamble.id)
        for match, field in zip(entry.matches, table.match_fields, strict=True):
            _encode_match(message, match, field)
        if entry.table.needs_priority:
            message.priority = entry.priority + 1
        self._set_action(message.action, table, entry.action)
        self._client.write(p4r.Update.INSERT, p4r.Entity(table_entry=message))
        self._entries.append(message)
        return len(self._entries) - 1

    def remove(self, handle: int) -> None:
        """Deletes an entry."""
        self._client.write(p4r.Update.DELETE, p4r.Entity(table_entry=self._entries[handle]))

    def set_default(self, table: Table, action: BoundAction) -> None:
        """Replaces a default action."""
        info = _by_name(self._p4info.tables, table.name, "table")
        message = p4r.TableEntry(table_id=info.preamble.id, is_default_action=True)
        message.action.action.CopyFrom(self._action(action))
        self._client.write(p4r.Update.MODIFY, p4r.Entity(table_entry=message))

    def _action(self, bound: BoundAction) -> p4r.Action:
        info = _by_name(self._p4info.actions, bound.action.name, "action")
        message = p4r.Action(action_id=info.preamble.id)
        for param, value in zip(info.params, bound.args, strict=True):
            message.params.add(param_id=param.id, value=_number(value))
        return message

    def _set_action(self, place: p4r.TableAction, table: Any, bound: BoundAction) -> None:
        action = self._action(bound)
        if not table.implementation_id:
            place.action.CopyFrom(action)
            return
        profile = next(
            item for item in self._p4info.action_profiles
            if item.preamble.id == table.implementation_id
        )  # fmt: skip
        if profile.with_selector:
            one = place.action_profile_action_set.action_profile_actions.add(weight=1)
            one.action.CopyFrom(action)
            return
        member = p4r.ActionProfileMember(
            action_profile_id=profile.preamble.id,
            member_id=len(self._entries) + 1,
            action=action,
        )
        self._client.write(p4r.Update.INSERT, p4r.Entity(action_profile_member=member))
        place.action_profile_member_id = member.member_id

    def set_group(self, group: int, replicas: Sequence[tuple[int, int]]) -> None:
        """Sets a multicast group."""
        entry = p4r.MulticastGroupEntry(multicast_group_id=group)
        for port, rid in replicas:
            entry.replicas.add(egress_port=port, instance=rid)
        entity = p4r.PacketReplicationEngineEntry(multicast_group_entry=entry)
        self._upsert(group, self._groups, entity)

    def set_mirror(self, session: int, replicas: Sequence[tuple[int, int]]) -> None:
        """Sets a clone session."""
        entry = p4r.CloneSessionEntry(session_id=session)
        for port, rid in replicas:
            entry.replicas.add(egress_port=port, instance=rid)
        entity = p4r.PacketReplicationEngineEntry(clone_session_entry=entry)
        self._upsert(session, self._sessions, entity)

    def _upsert(
        self, number: int, known: set[int], entry: p4r.PacketReplicationEngineEntry
    ) -> None:
        kind = p4r.Update.MODIFY if number in known else p4r.Update.INSERT
        entity = p4r.Entity(packet_replication_engine_entry=entry)
        self._client.write(kind, entity)
        known.add(number)

    def delete_mirror(self, session: int) -> None:
        """Deletes a clone session."""
        entry = p4r.PacketReplicationEngineEntry(
            clone_session_entry=p4r.CloneSessionEntry(session_id=session)
        )
        entity = p4r.Entity(packet_replication_engine_entry=entry)
        self._client.write(p4r.Update.DELETE, entity)
        self._sessions.discard(session)

    def _counter(self, name: str, index: int) -> p4r.CounterEntry:
        info = _by_name(self._p4info.counters, name, "counter")
        return p4r.CounterEntry(counter_id=info.preamble.id, index=p4r.Index(index=index))

    def read_counter(self, name: str, index: int) -> Count:
        """A counter cell."""
        found = self._client.read(p4r.Entity(counter_entry=self._counter(name, index)))
        data = found[0].counter_entry.data
        return Count(data.packet_count, data.byte_count)

    def read_entry_counter(self, handle: int) -> Count:
        """An entry's direct counter."""
        entry = p4r.DirectCounterEntry(table_entry=self._entries[handle])
        found = self._client.read(p4r.Entity(direct_counter_entry=entry))
        data = found[0].direct_counter_entry.data
        return Count(data.packet_count, data.byte_count)

    def write_counter(self, name: str, index: int, count: Count) -> None:
        """Sets a counter cell."""
        entry = self._counter(name, index)
        entry.data.packet_count = count.packets
        entry.data.byte_count = count.bytes
        self._client.write(p4r.Update.MODIFY, p4r.Entity(counter_entry=entry))

    def read_meter(self, name: str, index: int) -> tuple[Rate, Rate]:
        """A meter cell's rates."""
        info = _by_name(self._p4info.meters, name, "meter")
        entry = p4r.MeterEntry(meter_id=info.preamble.id, index=p4r.Index(index=index))
        config = self._client.read(p4r.Entity(meter_entry=entry))[0].meter_entry.config
        return (
            Rate(config.cir / _MICROSECONDS, config.cburst),
            Rate(config.pir / _MICROSECONDS, config.pburst),
        )

    def write_meter(self, name: str, index: int | None, committed: Rate, peak: Rate) -> None:
        """Sets a meter cell's rates."""
        info = _by_name(self._p4info.meters, name, "meter")
        cells = range(info.size) if index is None else (index,)
        config = p4r.MeterConfig(
            cir=round(committed.per_us * _MICROSECONDS),
            cburst=committed.burst,
            pir=round(peak.per_us * _MICROSECONDS),
            pburst=peak.burst,
        )
        for cell in cells:
            entry = p4r.MeterEntry(
                meter_id=info.preamble.id, index=p4r.Index(index=cell), config=config
            )
            self._client.write(p4r.Update.MODIFY, p4r.Entity(meter_entry=entry))

    def read_register(self, name: str, index: int) -> int:
        """A register cell."""
        answer = self._cli(f"register_read {name} {index}")
        found = re.search(r"\]\s*=\s*(\d+)", answer)
        if found is None:
            raise TargetError(f"register {name}[{index}]: {answer.strip()}")
        return int(found.group(1))

    def write_register(self, name: str, index: int, value: int) -> None:
        """Sets a register cell."""
        self._cli(f"register_write {name} {index} {value}")

    def reset_register(self, name: str) -> None:
        """Clears a register."""
        self._cli(f"register_reset {name}")

    def _cli(self, command: str) -> str:
        done = subprocess.run(
            [require_binary(CLI), "--thrift-port", str(self._process.thrift_port)],
            input=command + "\n",
            capture_output=True,
            text=True,
            timeout=_CLI_SECONDS,
            check=False,
        )
        if done.returncode or re.search(r"^(RuntimeCmd: )?(Error|Invalid)", done.stdout, re.M):
            raise TargetError(f"{CLI}: {command}: {(done.stdout + done.stderr).strip()}")
        return done.stdout


def _encode_match(entry: p4r.TableEntry, match: KeyMatch, field: Any) -> None:
    """Adds a match in P4Runtime's form; matches of anything are left out."""
    if match.wildcard:
        return
    message = entry.match.add(field_id=field.id)
    value = _number(match.value)
    kind = field.match_type
    if kind == p4i.MatchField.EXACT:
        message.exact.value = value
    elif kind == p4i.MatchField.LPM:
        message.lpm.value, message.lpm.prefix_len = value, match.prefix_len
    elif kind == p4i.MatchField.RANGE:
        message.range.low, message.range.high = value, _number(match.mask)
    elif kind == p4i.MatchField.OPTIONAL:
        message.optional.value = value
    else:
        message.ternary.value, message.ternary.mask = value, _number(match.mask)
