"""Counters of all switches of a process, in Prometheus' text format, over HTTP on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from p4native.switch.device import Device, PortStats, SwitchError
from p4native.switch.pipeline import Pipeline

Extra = Callable[[], Mapping[str, int]]


def render(devices: Sequence[Device], extra: Extra | None = None) -> str:
    """Return the metrics page; `extra` adds process-wide counters by name."""
    samples: dict[str, list[str]] = {}
    for device in devices:
        for name, labels, value in _device_samples(device):
            samples.setdefault(name, []).append(
                f'p4native_{name}{{device="{device.device_id}"{labels}}} {value}'
            )
    for name, value in sorted((extra() if extra else {}).items()):
        samples.setdefault(name, []).append(f"p4native_{name} {value}")
    lines: list[str] = []
    for name, values in samples.items():
        lines += [f"# TYPE p4native_{name} {_kind(name)}", *values]
    return "\n".join(lines) + "\n"


def _kind(name: str) -> str:
    return "gauge" if name in ("port_up", "table_entries", "table_bytes", "streams") else "counter"


def _device_samples(device: Device) -> Iterator[tuple[str, str, int]]:
    """(name, further labels, value) of one switch."""
    with device.using() as pipeline:
        yield from _port_samples(device)
        for drop in device.drops():
            yield "drops_total", f',reason="{drop.reason}"', drop.packets
        yield "packet_in_dropped_total", "", device.packet_in_dropped
        if pipeline is not None:
            yield from _table_samples(pipeline)


def _table_samples(pipeline: Pipeline) -> Iterator[tuple[str, str, int]]:
    for index, table in enumerate(pipeline.program.tables):
        labels = f',table="{table.name}"'
        yield "table_entries", labels, pipeline.count_entries(index)
        yield "table_bytes", labels, pipeline.table_bytes(index)


def _port_samples(device: Device) -> Iterator[tuple[str, str, int]]:
    for port, interface in sorted(device.ports().items()):
        labels = f',port="{port}",interface="{interface or ""}"'
        try:
            stats = device.port_stats(port)
        except SwitchError:
            continue  # removed since it was listed
        yield "port_up", labels, int(device.port_up(port))
        for field, value in zip(PortStats._fields, stats, strict=True):
            yield f"port_{field}_total", labels, value


class MetricsServer:
    """An HTTP server for /metrics at HOST:PORT (port 0: a free one), stopped by `stop`."""

    def __init__(self, address: str, devices: Sequence[Device], extra: Extra | None) -> None:
        """Listen and serve in a thread; OSError if the address cannot be used."""
        host, _, port = address.rpartition(":")

        class Handler(BaseHTTPRequestHandler):
            """Answers GET /metrics."""

            def do_GET(self) -> None:
                """Send the page."""
                if self.path != "/metrics":
                    self.send_error(404, "the metrics are at /metrics")
                    return
                try:
                    page = render(devices, extra).encode()
                except SwitchError as fault:
                    self.send_error(503, str(fault))
                    return
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, format: str, *args: object) -> None:
                """Scrapes are not events."""

        self._server = ThreadingHTTPServer((host or "127.0.0.1", int(port)), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics")
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
