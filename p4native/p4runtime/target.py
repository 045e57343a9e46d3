"""One device as P4Runtime sees it: its sessions, its pipelines, and what it tells its primaries."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from finsy.proto import p4r, rpc_code

from p4native.p4runtime import read, write
from p4native.p4runtime.arbitration import Arbiter
from p4native.p4runtime.entities import digests, table_read
from p4native.p4runtime.errors import (
    P4RuntimeError,
    failed_precondition,
    invalid_argument,
    not_found,
)
from p4native.p4runtime.fastpath import RawWrite
from p4native.p4runtime.pipeline import LoadedPipeline, load_pipeline
from p4native.p4runtime.reconcile import reconcile
from p4native.p4runtime.roles import RoleScope, role_key
from p4native.switch.device import Device, SwitchError
from p4native.switch.records import Status

_POLL_S = 0.5
_Request = p4r.SetForwardingPipelineConfigRequest
_Response = p4r.GetForwardingPipelineConfigRequest

_PACKET_OUT_CODES: dict[int, int] = {
    Status.FULL: rpc_code.RESOURCE_EXHAUSTED,
    Status.MISSING: rpc_code.FAILED_PRECONDITION,
}
_log = logging.getLogger(__name__)


class Target:
    """A device with its arbitration and its pipelines: the live one and, maybe, a saved one."""

    def __init__(self, device: Device, device_id: int, cpu_port: int | None) -> None:
        """Serve `device` under `device_id`."""
        self.device = device
        self.arbiter = Arbiter(device_id)
        self.cpu_port = cpu_port
        self._live: LoadedPipeline | None = None
        self._saved: LoadedPipeline | None = None
        # Writes, pipeline changes and the start of reads happen one at a time.
        self._lock = threading.RLock()
        self._swap = threading.Lock()  # the device's pipeline and _live change together
        self._counts: Counter[str] = Counter()
        self._closing = threading.Event()
        self._pumps: list[threading.Thread] = []

    def start(self) -> None:
        """Start forwarding packet-ins, digests and idle notifications."""
        for pump in (self._pump_packets, self._pump_digests, self._pump_idle):
            name = f"p4rt-{pump.__name__.rpartition('_')[2]}-{self.arbiter.device_id}"
            thread = threading.Thread(target=self._run, args=(pump,), name=name, daemon=True)
            thread.start()
            self._pumps.append(thread)

    def close(self) -> None:
        """Stop forwarding notifications; idempotent."""
        self._closing.set()
        for thread in self._pumps:
            thread.join()
        self._pumps.clear()

    def stats(self) -> dict[str, int]:
        """Return counters of notifications lost before they reached a stream's queue."""
        with self._lock:
            counts = dict(self._counts)
        counts["packet_in_overrun"] = self.device.packet_in_dropped
        return counts

    # -- pipeline --------------------------------------------------------------------------------

    def set_pipeline(self, request: _Request) -> None:
        """Carry out a SetForwardingPipelineConfig; what fails changes nothing."""
        action = request.action
        if action == _Request.COMMIT:
            self._commit_saved(request)
            return
        if action not in _Request.Action.values() or action == _Request.UNSPECIFIED:
            raise invalid_argument(f"pipeline action {action} is not one of VERIFY … COMMIT")
        if not request.HasField("config"):
            raise invalid_argument(f"{_Request.Action.Name(action)} without a config")
        loaded = load_pipeline(self.device, request.config)
        try:
            self._install(action, loaded)
        except BaseException:
            loaded.state.close()
            raise

    def _install(self, action: int, loaded: LoadedPipeline) -> None:
        with self._lock:
            if action == _Request.VERIFY:
                loaded.state.close()
                return
            if action == _Request.RECONCILE_AND_COMMIT and self._live is not None:
                reconcile(self._live, loaded)
            if self._saved is not None:
                self._saved.state.close()
                self._saved = None
            if action == _Request.VERIFY_AND_SAVE:
                self._saved = loaded
            else:
                self._make_live(loaded)

    def _commit_saved(self, request: _Request) -> None:
        if request.HasField("config"):
            raise invalid_argument("COMMIT takes no config; it commits the saved one")
        with self._lock:
            if self._saved is None:
                raise not_found("COMMIT without a saved config; VERIFY_AND_SAVE one first")
            loaded, self._saved = self._saved, None
            self._make_live(loaded)

    def _make_live(self, loaded: LoadedPipeline) -> None:
        with self._swap:
            self.device.commit(loaded.state)
            self._live = loaded

    def get_pipeline(self, response_type: int) -> p4r.GetForwardingPipelineConfigResponse:
        """Return the parts of the config that `response_type` names."""
        if response_type not in _Response.ResponseType.values():
            raise invalid_argument(f"response type {response_type} is not known")
        response = p4r.GetForwardingPipelineConfigResponse()
        with self._lock:
            loaded = self._saved or self._live
        if loaded is None:
            return response
        response.config.SetInParent()
        if loaded.config.HasField("cookie"):
            response.config.cookie.CopyFrom(loaded.config.cookie)
        if response_type in (_Response.ALL, _Response.P4INFO_AND_COOKIE):
            response.config.p4info.CopyFrom(loaded.config.p4info)
        if response_type in (_Response.ALL, _Response.DEVICE_CONFIG_AND_COOKIE):
            response.config.p4_device_config = loaded.config.p4_device_config
        return response

    # -- write and read --------------------------------------------------------------------------

    def write(
        self, batch: RawWrite, role: str, scope: RoleScope
    ) -> list[P4RuntimeError | None] | None:
        """Apply a batch; None if all of it went well, else one result per update."""
        barred = frozenset[int]() if scope.ids is None else self.arbiter.excluded_ids(role)
        with self._lock:
            context = write.WriteContext(self._current(), self.device, self.cpu_port, scope, barred)
            return write.write_batch(context, batch)

    def open_read(self, request: p4r.ReadRequest) -> read.OpenRead:
        """Take a consistent snapshot of what `request` asks for."""
        scope = self.arbiter.scope(role_key(request.role))
        with self._lock:
            return read.open_read(self._current(), request, scope)

    def _current(self) -> LoadedPipeline:
        loaded = self._saved or self._live
        if loaded is None:
            # finsy looks for "no … forwarding pipeline config".
            raise failed_precondition(
                f"device {self.arbiter.device_id} has no forwarding pipeline config; "
                "push one with SetForwardingPipelineConfig"
            )
        return loaded

    # -- stream ----------------------------------------------------------------------------------

    def usual_packet_out(self, raw: bytes) -> bool:
        """Send an encoded packet-out; whether it was done, else `packet_out` has to look at it."""
        loaded = self._live
        frame = None if loaded is None else loaded.packet_out.packet_out(raw)
        if frame is None:
            return False
        try:
            self.device.packet_out(frame)
        except SwitchError:
            return False
        return True

    def packet_out(self, packet: p4r.PacketOut) -> None:
        """Send a packet-out into the live pipeline; INVALID_ARGUMENT if its metadata is wrong.

        RESOURCE_EXHAUSTED if the packet thread is behind, FAILED_PRECONDITION without a CPU port.
        """
        loaded = self._live
        if loaded is None:
            raise failed_precondition("no pipeline is committed; packet-out dropped")
        header = loaded.packet_out.pack(packet.metadata)
        try:
            self.device.packet_out(header + packet.payload)
        except SwitchError as error:
            code = _PACKET_OUT_CODES.get(error.status, rpc_code.INVALID_ARGUMENT)
            raise P4RuntimeError(code, f"packet-out dropped: {error}") from None

    def digest_ack(self, ack: p4r.DigestListAck) -> None:
        """Acknowledge a digest list; INVALID_ARGUMENT for an unknown digest."""
        loaded = self._live
        if loaded is None:
            raise failed_precondition("no pipeline is committed")
        with self.device.using() as state:
            # Else it is being replaced, and its lists go with it.
            if state is loaded.state:
                digests.acknowledge(loaded, ack)

    def _run(self, pump: Any) -> None:
        while not self._closing.is_set():
            try:
                pump()
            except Exception:  # noqa: BLE001 - the next notification may well get through
                _log.exception("device %d: notification lost", self.arbiter.device_id)
                self._counts["notification_failed"] += 1
                self._closing.wait(_POLL_S)

    def _pump_packets(self) -> None:
        frames = self.device.wait_packet_in(_POLL_S)
        loaded = self._live
        if not frames or loaded is None:
            return
        packets = [loaded.packet_in.packet_in(frame) for frame in frames]
        lost = set(range(len(packets)))
        for client, scope in self.arbiter.primaries():
            chosen = range(len(packets)) if scope.wants_all else _wanted(scope, packets)
            lost.difference_update(chosen)
            client.send_packets([packets[number] for number in chosen])
        self._counts["packet_in_without_primary"] += len(lost)

    def _live_now(self) -> LoadedPipeline | None:
        with self._swap:
            return self._live

    def _pump_digests(self) -> None:
        asked = self._live_now()
        found = self.device.wait_digests(_POLL_S)
        # A pipeline that was replaced meanwhile has nothing to tell any more.
        if asked is None or asked is not self._live_now():
            return
        for digest in found:
            message = digests.notification(asked, digest)
            if message is not None:
                self._notify(message.digest_id, p4r.StreamMessageResponse(digest=message))

    def _pump_idle(self) -> None:
        asked = self._live_now()
        idle = self.device.wait_idle(_POLL_S)
        if not idle:
            return
        with self._lock:
            if asked is None or asked is not self._live:
                return
            messages = table_read.idle_notifications(asked, idle)
        for message in messages:
            message.timestamp = time.time_ns()
            table_id = message.table_entry[0].table_id
            self._notify(table_id, p4r.StreamMessageResponse(idle_timeout_notification=message))

    def _notify(self, p4_id: int, message: p4r.StreamMessageResponse) -> None:
        takers = [client for client, scope in self.arbiter.primaries() if scope.allows(p4_id)]
        if not takers:
            self._counts[f"{message.WhichOneof('update')}_without_primary"] += 1
        for client in takers:
            client.send(message)


def _wanted(scope: RoleScope, packets: Sequence[bytes]) -> list[int]:
    """Return the positions of the encoded packets that a role's filter lets through."""
    decode = p4r.StreamMessageResponse.FromString
    return [number for number, raw in enumerate(packets) if scope.wants(decode(raw).packet)]
