"""A small synchronous P4Runtime client: writes NIC programs, reads counters, keeps packet-ins."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import grpc
from finsy.proto import p4i, p4r, p4r_grpc
from google.protobuf import text_format

from control.difference import compare, index
from control.encoder import Encoder
from control.policy import Entry, NicProgram

DEADLINE_S = 10.0


class PacketIn:
    """A packet that the NIC sent up, with its metadata as numbers by name."""

    def __init__(self, packet: p4r.PacketIn, names: dict[int, str]) -> None:
        self.payload = packet.payload
        self.meta = {names[m.metadata_id]: int.from_bytes(m.value, "big") for m in packet.metadata}

    def __repr__(self) -> str:
        return f"PacketIn({self.meta}, {self.payload.hex()})"


class Client:
    """Primary controller of one NIC."""

    def __init__(self, address: str, p4info: Path, blob: Path) -> None:
        self.info = text_format.Parse(p4info.read_text(), p4i.P4Info())
        self.encoder = Encoder(p4info)
        self._channel = grpc.insecure_channel(address)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._election = p4r.Uint128(low=1)
        self._outbox: queue.SimpleQueue[p4r.StreamMessageRequest | None] = queue.SimpleQueue()
        self._inbox: queue.SimpleQueue[p4r.StreamMessageResponse] = queue.SimpleQueue()
        self.digests: queue.SimpleQueue[p4r.DigestList] = queue.SimpleQueue()
        self.idle: queue.SimpleQueue[p4r.IdleTimeoutNotification] = queue.SimpleQueue()
        self.packet_ins: queue.SimpleQueue[PacketIn] = queue.SimpleQueue()
        self._headers = {
            c.preamble.alias: {m.name: m.id for m in c.metadata}
            for c in self.info.controller_packet_metadata
        }
        self._stream = self._stub.StreamChannel(iter(self._outbox.get, None))
        self._reader = threading.Thread(target=self._read_stream, daemon=True)
        self._reader.start()
        self._arbitrate()
        self._set_pipeline(blob.read_bytes())
        self._installed: dict[tuple[object, ...], p4r.Entity] = {}
        ids = self.encoder.table_ids
        self._last = [ids[name] for name in ("port_table", "destination_table") if name in ids]

    def close(self) -> None:
        self._outbox.put(None)
        self._stream.cancel()
        self._reader.join(DEADLINE_S)
        self._channel.close()

    def _arbitrate(self) -> None:
        update = p4r.MasterArbitrationUpdate(device_id=1, election_id=self._election)
        self._outbox.put(p4r.StreamMessageRequest(arbitration=update))
        self._inbox.get(timeout=DEADLINE_S)

    def _set_pipeline(self, blob: bytes) -> None:
        self._stub.SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=1,
                election_id=self._election,
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
                config=p4r.ForwardingPipelineConfig(p4info=self.info, p4_device_config=blob),
            ),
            timeout=60,
        )

    def _read_stream(self) -> None:
        names = {number: name for name, number in self._headers.get("packet_in", {}).items()}
        try:
            for message in self._stream:
                kind = message.WhichOneof("update")
                if kind == "packet":
                    self.packet_ins.put(PacketIn(message.packet, names))
                elif kind == "digest":
                    self.digests.put(message.digest)
                elif kind == "idle_timeout_notification":
                    self.idle.put(message.idle_timeout_notification)
                else:
                    self._inbox.put(message)
        except grpc.RpcError:
            return

    def packet_out(self, payload: bytes, **metadata: int) -> None:
        packet = p4r.PacketOut(payload=payload)
        for name, number in self._headers["packet_out"].items():
            value = metadata[name]
            size = max(1, (value.bit_length() + 7) // 8)
            packet.metadata.add(metadata_id=number, value=value.to_bytes(size, "big"))
        self._outbox.put(p4r.StreamMessageRequest(packet=packet))

    def write(self, updates: Sequence[p4r.Update], batch: int = 2000) -> None:
        for start in range(0, len(updates), batch):
            request = p4r.WriteRequest(device_id=1, election_id=self._election)
            request.updates.extend(updates[start : start + batch])
            self._stub.Write(request, timeout=60)

    def install(self, program: NicProgram) -> int:
        """Make the NIC hold exactly ``program``; returns how many updates that took."""
        wanted = index(self.encoder.program(program))
        difference = compare(wanted, self._installed, self._last)
        self.write(difference.updates)
        self._installed = wanted
        return len(difference)

    def adopt(self, program: NicProgram) -> None:
        """Note that the NIC holds ``program``, written by other means."""
        self._installed = index(self.encoder.program(program))

    def insert(self, entries: Iterable[Entry]) -> None:
        self._each(p4r.Update.INSERT, entries)

    def modify(self, entries: Iterable[Entry]) -> None:
        self._each(p4r.Update.MODIFY, entries)

    def delete(self, entries: Iterable[Entry]) -> None:
        self._each(p4r.Update.DELETE, entries)

    def _each(self, kind: p4r.Update.Type.ValueType, entries: Iterable[Entry]) -> None:
        self.write([p4r.Update(type=kind, entity=self.encoder.entry(e)) for e in entries])

    def read(self, entity: p4r.Entity) -> Iterator[p4r.Entity]:
        request = p4r.ReadRequest(device_id=1, entities=[entity])
        for response in self._stub.Read(request, timeout=30):
            yield from response.entities

    def counter(self, name: str, index: int) -> tuple[int, int]:
        """Packets and bytes of one cell."""
        entity = p4r.Entity()
        entity.counter_entry.counter_id = self.encoder.counter_ids[name]
        entity.counter_entry.index.index = index
        data = next(self.read(entity)).counter_entry.data
        return data.packet_count, data.byte_count

    def counter_reaches(self, name: str, index: int, packets: int) -> bool:
        """Whether a cell has that many packets before the deadline."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if self.counter(name, index)[0] >= packets:
                return self.counter(name, index)[0] == packets
        return False

    def packet_in(self, timeout: float = DEADLINE_S) -> PacketIn:
        return self.packet_ins.get(timeout=timeout)

    def subscribe_digest(self) -> int:
        """Ask for every digest at once; returns the digest's id."""
        number = self.info.digests[0].preamble.id
        entity = p4r.Entity()
        entity.digest_entry.digest_id = number
        entity.digest_entry.config.max_timeout_ns = 0
        entity.digest_entry.config.max_list_size = 1
        entity.digest_entry.config.ack_timeout_ns = 1_000_000
        self.write([p4r.Update(type=p4r.Update.INSERT, entity=entity)])
        return number

    def unsubscribe_digest(self, number: int) -> None:
        """Ask for no more digests."""
        entity = p4r.Entity()
        entity.digest_entry.digest_id = number
        self.write([p4r.Update(type=p4r.Update.DELETE, entity=entity)])
