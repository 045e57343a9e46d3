"""Starts and stops the P4Runtime server of a switch process."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from p4native.p4runtime.service import MAX_STREAMS, P4RuntimeService, add_to_server
from p4native.p4runtime.target import Target
from p4native.p4runtime.tls import TlsOptions, server_credentials

MAX_MESSAGE_BYTES = 256 << 20
_UNARY_THREADS = 64
_STOP_GRACE_S = 2.0
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", -1),
    # A second server on the same port must fail, not share it.
    ("grpc.so_reuseport", 0),
    # A client that vanished without closing its connection is noticed in half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    # Unread requests of one connection are held back in its client.
    ("grpc.max_concurrent_streams", 1024),
)

_log = logging.getLogger(__name__)


class ServeError(RuntimeError):
    """The server could not start: the address is in use or malformed."""


class ServerHandle:
    """A running server; `stop()` it before the devices are closed."""

    def __init__(
        self, server: grpc.Server, service: P4RuntimeService, targets: Sequence[Target], port: int
    ) -> None:
        """Hold what `serve` started."""
        self._server = server
        self._service = service
        self._targets = targets
        self.port = port

    def stats(self) -> dict[str, int]:
        """Return counters of stream messages sent and dropped, and of streams open now."""
        totals = Counter(self._service.stats())
        for target in self._targets:
            totals.update(target.stats())
        return dict(totals)

    def stop(self) -> None:
        """Refuse new calls, end streams and reads, wait for writes in flight; idempotent."""
        stopped = self._server.stop(_STOP_GRACE_S)  # first: a client must not come back meanwhile
        self._service.end_streams()
        for target in self._targets:
            target.close()
        stopped.wait()

    def wait(self) -> None:
        """Block until the server has stopped."""
        self._server.wait_for_termination()


def serve(
    devices: dict[int, Any],
    address: str = "127.0.0.1:9559",
    tls: TlsOptions | None = None,
    cpu_port: int | None = None,
) -> ServerHandle:
    """Serve `devices` (by device id) at `address` ("host:port"; port 0 picks a free one).

    ServeError if the address cannot be used, TlsError if the TLS options cannot.
    """
    targets = {number: Target(device, number, cpu_port) for number, device in devices.items()}
    service = P4RuntimeService(targets)
    threads = MAX_STREAMS + _UNARY_THREADS
    server = grpc.server(
        ThreadPoolExecutor(threads, thread_name_prefix="p4rt"),
        options=_OPTIONS,
        maximum_concurrent_rpcs=threads,
    )
    add_to_server(service, server)
    port = _listen(server, address, tls)
    for target in targets.values():
        target.start()
    server.start()
    _log.info("P4Runtime server listening on %s (port %d)", address, port)
    return ServerHandle(server, service, list(targets.values()), port)


def _listen(server: grpc.Server, address: str, tls: TlsOptions | None) -> int:
    try:
        if tls is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, server_credentials(tls)))
    except RuntimeError:
        raise ServeError(
            f"cannot listen on {address}: in use, or not an address of this host; "
            "choose another with --grpc-server-addr HOST:PORT"
        ) from None
