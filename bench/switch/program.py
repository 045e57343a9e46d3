"""The P4Runtime side: pipeline, forwarding entries, rules, and timed inserts."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

import grpc
from finsy.proto import p4i, p4r, p4r_grpc

from bench.switch.planes import PROGRAM, Host
from p4native.compiler import compile_program

BATCH = 4000
_ELECTION = p4r.Uint128(low=1)


@dataclass
class Names:
    """Ids of tables, actions and match fields, by name."""

    tables: dict[str, int]
    actions: dict[str, int]


class Control:
    """One controller session; the primary until it is closed."""

    def __init__(self, port: int) -> None:
        """Connect, become primary and push the pipeline."""
        options = [("grpc.max_send_message_length", -1)]
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
        self._stub = p4r_grpc.P4RuntimeStub(self._channel)
        self._requests: list[p4r.StreamMessageRequest] = []
        self._open = True
        self._stream = self._stub.StreamChannel(self._arbitrate())
        next(self._stream)
        result = compile_program(PROGRAM)
        info: p4i.P4Info = result.p4info
        self.names = Names(
            {t.preamble.name: t.preamble.id for t in info.tables},
            {a.preamble.name: a.preamble.id for a in info.actions},
        )
        config = p4r.ForwardingPipelineConfig(
            p4info=info, p4_device_config=json.dumps(result.json).encode()
        )
        self._stub.SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=0, election_id=_ELECTION, config=config,
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
            )
        )  # fmt: skip

    def _arbitrate(self) -> Iterator[p4r.StreamMessageRequest]:
        update = p4r.MasterArbitrationUpdate(device_id=0, election_id=_ELECTION)
        yield p4r.StreamMessageRequest(arbitration=update)
        while self._open:
            time.sleep(0.1)

    def close(self) -> None:
        """Leave."""
        self._open = False
        self._stream.cancel()
        self._channel.close()

    def insert(self, entries: list[p4r.TableEntry]) -> float:
        """Insert in batches; seconds that took, requests made before the clock runs."""
        requests = [
            p4r.WriteRequest(
                device_id=0, election_id=_ELECTION,
                updates=[
                    p4r.Update(type=p4r.Update.INSERT, entity=p4r.Entity(table_entry=e))
                    for e in entries[i : i + BATCH]
                ],
            )
            for i in range(0, len(entries), BATCH)
        ]  # fmt: skip
        start = time.perf_counter()
        for request in requests:
            self._stub.Write(request)
        return time.perf_counter() - start

    def _action(self, name: str, **params: int) -> p4r.TableAction:
        values = [
            p4r.Action.Param(param_id=i + 1, value=_bytes(v)) for i, v in enumerate(params.values())
        ]
        return p4r.TableAction(action=p4r.Action(action_id=self.names.actions[name], params=values))

    def station(self, mac: int, port: int) -> p4r.TableEntry:
        """Frames to a MAC address leave by a port."""
        match = p4r.FieldMatch(field_id=1, exact=p4r.FieldMatch.Exact(value=_bytes(mac)))
        return p4r.TableEntry(
            table_id=self.names.tables["forward.mac"], match=[match],
            action=self._action("forward.send", port=port),
        )  # fmt: skip

    def forward(self, *hosts: Host) -> None:
        """Every host is at its port."""
        self.insert([self.station(int(h.mac.replace(":", ""), 16), i + 1)
                     for i, h in enumerate(hosts)])  # fmt: skip

    def rule(self, rng: random.Random, priority: int) -> p4r.TableEntry:
        """An access rule as operators write them; it permits, so that traffic can be counted."""
        source, sink = rng.getrandbits(32), rng.getrandbits(32)
        lengths = rng.choice((8, 16, 24, 32)), rng.choice((8, 16, 24, 32))
        low = rng.choice((0, 80, 443, 1024, rng.randrange(65000)))
        match = [p4r.FieldMatch(field_id=1, exact=p4r.FieldMatch.Exact(value=b"\1"))]
        for number, value, length in ((2, source, lengths[0]), (3, sink, lengths[1])):
            mask = (1 << 32) - (1 << (32 - length))
            match.append(_ternary(number, value & mask, mask))
        match.append(_ternary(4, rng.choice((6, 17)), 255))
        bounds = p4r.FieldMatch.Range(low=_bytes(low), high=_bytes(min(65535, low + 600)))
        match.append(p4r.FieldMatch(field_id=6, range=bounds))
        return p4r.TableEntry(
            table_id=self.names.tables["forward.acl"], match=match, priority=priority,
            action=self._action("forward.allow"),
        )  # fmt: skip


def _bytes(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _ternary(number: int, value: int, mask: int) -> p4r.FieldMatch:
    match = p4r.FieldMatch.Ternary(value=_bytes(value), mask=_bytes(mask))
    return p4r.FieldMatch(field_id=number, ternary=match)
