"""One switch: its ports, packet threads, and the pipeline that they run.

A `Device` forwards packets in C threads. A `Pipeline` is one loaded program with its tables and
other state; it can be filled before `Device.commit` makes it live, and freed afterwards. Every
method may be called from any thread; none of them stops packets, apart from the time in which an
ATOMIC batch is made visible: about a microsecond per operation at most. Indices are positions in
the BMv2 JSON's arrays, as in the pipeline descriptor; `Pipeline.program` has the names.
"""

from __future__ import annotations

import ctypes as c
import errno
import json
import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from p4native.bmv2.reader import read_program
from p4native.codegen import generate
from p4native.switch import build, native
from p4native.switch.pipeline import Pipeline
from p4native.switch.records import Status
from p4native.switch.state import (
    CloneSession,
    Digest,
    DropCount,
    GroupMember,
    IdleEntry,
    MeterConfig,
    PortStats,
    Replica,
    SwitchError,
)

_NONE = 0xFFFFFFFF
_FRAMES_BYTES = 1 << 22
_IDLE_PERIOD_S = 0.05
_IDLE_BUDGET = 16384
_FRAME_HEAD = struct.Struct("<II")

DROP_REASONS = (
    "ingress", "egress", "multicast", "no_memory", "loop_full", "too_long", "priority",
    "assert", "no_port", "tx_full", "no_pipeline", "malformed",
)  # fmt: skip
"""Names of enum p4n_drop_reason, in its order."""


def _decode(json_text: bytes | str) -> Any:
    try:
        return json.loads(json_text)
    except ValueError as fault:
        raise SwitchError(
            f"the pipeline is not JSON ({fault}); it should be what p4native compile, or "
            "p4c-bm2-ss, makes of a P4 program"
        ) from None


class Device:
    """One switch. Ports may be added first: they drop, and count, until there is a pipeline."""

    def __init__(
        self,
        device_id: int = 0,
        *,
        cpu_port: int | None = None,
        drop_port: int = 511,
        threads: int = 1,
        packet_in_limit: int = 4096,
        name: str = "",
    ) -> None:
        """Create a switch without ports and program; `threads` packet threads after `start`."""
        self.device_id = device_id
        self.name = name or f"device {device_id}"
        self.cpu_port = cpu_port
        self._c = native.engine()
        cpu = _NONE if cpu_port is None else cpu_port
        self._device: int | None = self._c.p4n_device_create(
            threads, cpu, drop_port, packet_in_limit
        )
        if not self._device:
            raise SwitchError(
                f"{self.name}: cannot set up {threads} packet threads (at most 63): "
                "out of memory or of file descriptors"
            )
        self._pipeline: Pipeline | None = None
        self._ports: dict[int, str | None] = {}
        self._lock = threading.Lock()
        self._users: Counter[Pipeline | None] = Counter()
        self._idle = threading.Condition()
        self._stopping = threading.Event()
        self._buffers = threading.local()
        if cpu_port is not None:
            self._c.p4n_port_add(self._device, cpu_port, None, None, False)

    @property
    def handle(self) -> int:
        """The C device's address; SwitchError once it is stopped."""
        return self._handle

    @property
    def _handle(self) -> int:
        if self._device is None:
            raise SwitchError(f"{self.name}: it has been stopped")
        return self._device

    # -- pipeline --------------------------------------------------------------------------------

    def prepare(self, json_text: bytes | str, *, trace: bool = False) -> Pipeline:
        """Build a program (or take it from the cache) and set up its tables, not live.

        With `trace` it is a slow build that reports events (see `p4native.switch.trace`).
        Raises BmvJsonError for a faulty JSON, CodegenError for a program that cannot be realised,
        BuildError when the C compiler is missing or fails.
        """
        try:
            program = read_program(_decode(json_text))
            sources = generate(program, trace=trace)
        except RecursionError:
            raise SwitchError("the pipeline is nested too deeply to be a program") from None
        library, descriptor = native.load_pipeline(build.pipeline_library(sources))
        instance = self._c.p4n_instance_create(
            self._handle, self._c.p4n_device_domain(self._handle), descriptor
        )
        if not instance:
            raise SwitchError(f"{self.name}: out of memory for the program's tables")
        return Pipeline(program, library, instance)

    def commit(self, pipeline: Pipeline) -> None:
        """Make a pipeline live between two batches of packets, and close the one before."""
        with self._lock:
            old, self._pipeline = self._pipeline, pipeline
            self._c.p4n_device_commit(self._handle, pipeline.handle)
            pipeline.live = True
        if old is not None and old is not pipeline:
            old.live = False
            old.wake()
            self._drain(old)
            old.close()

    @property
    def pipeline(self) -> Pipeline | None:
        """The live pipeline."""
        return self._pipeline

    @contextmanager
    def using(self, *, device: bool = False) -> Iterator[Pipeline | None]:
        """Keep the live pipeline, or the device alone, from being freed under a waiter."""
        with self._idle:
            pipeline = None if device else self._pipeline
            self._users[pipeline] += 1
        try:
            yield pipeline
        finally:
            with self._idle:
                self._users[pipeline] -= 1
                self._idle.notify_all()

    def _drain(self, pipeline: Pipeline | None) -> None:
        """Wait for the woken waiters of a pipeline (None: of the device) to have left."""
        with self._idle:
            self._idle.wait_for(lambda: not self._users[pipeline])
            del self._users[pipeline]

    # -- ports -----------------------------------------------------------------------------------

    def add_port(
        self,
        port: int,
        interface: str | None = None,
        pcap: str | None = None,
        *,
        shared: bool = False,
    ) -> None:
        """Attach a network interface to a port number, or None for a memory port.

        `pcap` is a folder that gets <interface>_in.pcap and _out.pcap. A `shared` port has many
        senders behind it and gives them receive queues of their own, by source address. Raises
        SwitchError when the number is taken or the interface cannot be opened.
        """
        code = self._c.p4n_port_add(
            self._handle, port, interface.encode() if interface else None,
            os.fsencode(pcap) if pcap else None, shared,
        )  # fmt: skip
        if code:
            raise SwitchError(self._port_error(port, interface, -code))
        self._ports[port] = interface

    def _port_error(self, port: int, interface: str | None, code: int) -> str:
        where = f"{self.name}: port {port}" + (f" on {interface}" if interface else "")
        return {
            errno.EEXIST: f"{where}: the port number is taken",
            errno.ENODEV: f"{where}: there is no such interface (see: ip link)",
            errno.EPERM: f"{where}: raw sockets need CAP_NET_RAW (run as root)",
            errno.EIO: f"{where}: cannot write the capture files",
            errno.EINVAL: f"{where}: the number must be below 65536, the name below 16 characters",
        }.get(code, f"{where}: {os.strerror(code)}")

    def remove_port(self, port: int) -> None:
        """Detach a port; frames on their way to it are dropped and counted."""
        if self._c.p4n_port_remove(self._handle, port):
            raise SwitchError(f"{self.name}: there is no port {port}")
        self._ports.pop(port, None)

    def ports(self) -> dict[int, str | None]:
        """Return port numbers and their interfaces (None: memory)."""
        return dict(self._ports)

    def port_up(self, port: int) -> bool:
        """Return whether the port exists and has link; memory ports have."""
        return bool(self._c.p4n_port_state(self._handle, port) == 1)

    def set_port_up(self, port: int, up: bool) -> None:
        """Enable or disable a port by hand, as selectors' watch ports see it."""
        if self._c.p4n_port_force(self._handle, port, up):
            raise SwitchError(f"{self.name}: there is no port {port}")

    def port_stats(self, port: int) -> PortStats:
        """Return the port's counters; SwitchError if it does not exist."""
        counts = (c.c_uint64 * 8)()
        if self._c.p4n_port_read_stats(self._handle, port, counts):
            raise SwitchError(f"{self.name}: there is no port {port}")
        return PortStats(*counts)

    def drops(self) -> list[DropCount]:
        """Return drops by reason since the switch started, zero counts included."""
        counts = (c.c_uint64 * len(DROP_REASONS))()
        self._c.p4n_device_drops(self._handle, counts)
        return [DropCount(*pair) for pair in zip(DROP_REASONS, counts, strict=True)]

    # -- running ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the packet threads. Without them, `inject` runs the pipeline in the caller."""
        code = self._c.p4n_device_start(self._handle)
        if code:
            raise SwitchError(f"{self.name}: cannot start its threads: {os.strerror(-code)}")

    def stop(self) -> None:
        """Stop the packet threads and close all ports and pipelines; wakes every waiter."""
        with self._lock:
            device, self._device = self._device, None
            pipeline, self._pipeline = self._pipeline, None
        if device is None:
            return
        self._stopping.set()
        if pipeline is not None:
            pipeline.wake()
        self._c.p4n_device_stop(device)
        self._drain(None)
        if pipeline is not None:
            self._drain(pipeline)
        self._c.p4n_device_commit(device, None)
        if pipeline is not None:
            pipeline.live = False
            pipeline.close()
        self._c.p4n_device_destroy(device)

    # -- memory ports ----------------------------------------------------------------------------

    def inject(self, port: int, frame: bytes) -> None:
        """Run one frame through the pipeline as if it had arrived on `port`, to completion.

        When this returns, its output has left or can be collected.
        """
        self._send(port, frame, True)

    def _send(self, port: int, frame: bytes, wait: bool) -> None:
        code = self._c.p4n_inject(self._handle, port, frame, len(frame), wait)
        if code == -errno.EMSGSIZE:
            raise SwitchError(f"a frame of {len(frame)} bytes: at most 65536 fit")
        if code:
            raise SwitchError("the packet thread is behind: the frame was dropped", Status.FULL)

    def collect(self, timeout: float = 0.0) -> list[tuple[int, bytes]]:
        """Return (port, frame) that memory ports have sent since the last call, in order.

        Waits up to `timeout` seconds for the first one.
        """
        return self._pop(self._c.p4n_memory_wait, timeout, 1 << 20)

    def _pop(self, function: object, timeout: float, limit: int) -> list[tuple[int, bytes]]:
        with self.using(device=True):
            handle = self._device
            if handle is None:
                return []
            buffer = self._buffer()
            size = function(  # type: ignore[operator]
                handle, time.monotonic_ns() + int(timeout * 1e9), buffer, _FRAMES_BYTES,
                limit,
            )  # fmt: skip
        raw, at, frames = memoryview(buffer)[:size], 0, []
        while at < size:
            port, length = _FRAME_HEAD.unpack_from(raw, at)
            frames.append((port, bytes(raw[at + 8 : at + 8 + length])))
            at += 8 + ((length + 3) & ~3)
        return frames

    def _buffer(self) -> c.Array[c.c_char]:
        """This thread's buffer for frames: too large to make anew for every call."""
        buffer: c.Array[c.c_char] | None = getattr(self._buffers, "frames", None)
        if buffer is None:
            buffer = self._buffers.frames = c.create_string_buffer(_FRAMES_BYTES)
        return buffer

    # -- controller ------------------------------------------------------------------------------

    def packet_out(self, frame: bytes) -> None:
        """Send a frame (with its packet_out header) into the pipeline from the CPU port."""
        if self.cpu_port is None:
            raise SwitchError(f"{self.name}: it has no CPU port (--cpu-port)", Status.MISSING)
        self._send(self.cpu_port, frame, False)

    def wait_packet_in(self, timeout: float, limit: int = 256) -> list[bytes]:
        """Wait for frames sent to the CPU port (with their packet_in header), oldest first.

        Returns at most `limit`; an empty list after `timeout` seconds or when the switch stops.
        The queue is bounded: what does not fit is dropped and counted in `packet_in_dropped`.
        """
        return [frame for _, frame in self._pop(self._c.p4n_packet_in_wait, timeout, limit)]

    def wait_log(self, timeout: float) -> list[str]:
        """Wait for texts of log_msg(), assert() and assume(); bounded like packet-ins."""
        frames = self._pop(self._c.p4n_log_wait, timeout, 1024)
        return [text.decode(errors="replace") for _, text in frames]

    @property
    def packet_in_dropped(self) -> int:
        """Packet-ins lost because nobody read them in time."""
        return int(self._c.p4n_packet_in_dropped(self._handle))

    def wait_digests(self, timeout: float) -> list[Digest]:
        """Wait for digest lists; empty after `timeout` seconds or when the switch stops."""
        deadline = time.monotonic_ns() + int(timeout * 1e9)
        with self.using() as pipeline:
            digest = pipeline.wait_digest(deadline, time.time_ns()) if pipeline else None
        if pipeline is None:
            self._stopping.wait(timeout)
        return [digest] if digest else []

    def wait_idle(self, timeout: float) -> list[IdleEntry]:
        """Wait for entries to be idle; each is reported again after another idle timeout."""
        deadline = time.monotonic() + timeout
        while not self._stopping.is_set():
            with self.using() as pipeline:
                found = pipeline.sweep_idle(_IDLE_BUDGET) if pipeline else []
                pause = _IDLE_PERIOD_S if pipeline and pipeline.times_out else timeout
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            self._stopping.wait(min(left, pause))
        return []


__all__ = [
    "CloneSession", "Device", "Digest", "DropCount", "GroupMember", "IdleEntry", "MeterConfig",
    "Pipeline", "PortStats", "Replica", "SwitchError",
]  # fmt: skip
