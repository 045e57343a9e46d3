"""The life of a switch process: devices up, P4Runtime up, signals, everything down again."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from p4native.bmv2.node import BmvJsonError
from p4native.codegen import CodegenError
from p4native.switch import logs
from p4native.switch.build import BuildError
from p4native.switch.device import Device, SwitchError
from p4native.switch.metrics import MetricsServer
from p4native.switch.options import DeviceOptions, OptionError, Options, parse, read_config

_log = logging.getLogger("p4native.switch")
_LOG_WAIT_S = 0.2
_REFUSED_PERIOD_S = 5.0


class StartError(Exception):
    """The process cannot start; the text says why."""


def run(arguments: list[str]) -> int:
    """Run `p4native switch` until SIGTERM or SIGINT; returns the exit code."""
    try:
        options = parse(arguments)
        if isinstance(options, str):
            sys.stdout.write(options + "\n")
            return 0
        _configure_log(options)
        for note in options.notes:
            _log.warning("%s", note)
        _Process(options).run()
    except (OptionError, StartError, SwitchError, BuildError, OSError) as fault:
        sys.stderr.write(f"p4native switch: {fault}\n")
        return 1
    return 0


def _configure_log(options: Options) -> None:
    try:
        logs.configure(options.log_level, options.log_console, options.log_file)
    except OSError as fault:
        raise StartError(f"--log-file {options.log_file}: {fault.strerror or fault}") from None


class _Process:
    """What runs between start and stop."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._devices: dict[int, Device] = {}
        self._wanted = {d.device_id: d for d in options.devices}

    def run(self) -> None:
        """Bring everything up, wait for a signal, and take everything down."""
        with ExitStack() as stack:
            for options in self._options.devices:
                device = _make_device(options)
                stack.callback(device.stop)
                self._devices[options.device_id] = device
                self._follow_log(device, stack)
            self._serve(stack)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_stop)
            signal.signal(signal.SIGHUP, self._on_reload)
            self._wait()
            _log.info("stopping")

    def _serve(self, stack: ExitStack) -> None:
        from p4native.p4runtime.server import ServeError, serve
        from p4native.p4runtime.tls import TlsError, TlsOptions

        o = self._options
        tls = None
        if o.tls_cert is not None and o.tls_key is not None:
            tls = TlsOptions(o.tls_cert, o.tls_key, o.tls_cacert, o.tls_client_auth)
        cpu_ports = {d.cpu_port for d in o.devices}
        try:
            server = serve(dict(self._devices), o.address, tls, next(iter(cpu_ports)))
        except (ServeError, TlsError) as fault:
            raise StartError(str(fault)) from None
        stack.callback(server.stop)
        if o.metrics:
            try:
                metrics = MetricsServer(o.metrics, list(self._devices.values()), server.stats)
            except OSError as fault:
                raise StartError(f"--metrics-addr {o.metrics}: {fault.strerror or fault}") from None
            stack.callback(metrics.stop)
            _log.info("metrics at port %d", metrics.port)

    def _follow_log(self, device: Device, stack: ExitStack) -> None:
        """A thread that writes what the program logs with log_msg(), and what ports refuse."""
        if not _log.isEnabledFor(logging.WARNING):
            return

        def follow() -> None:
            refused: dict[int, int] = {}
            due = 0.0
            while not self._stop.is_set():
                for text in device.wait_log(_LOG_WAIT_S):
                    _log.info("%s: %s", device.name, text)
                if time.monotonic() >= due:
                    _tell_refused(device, refused)
                    due = time.monotonic() + _REFUSED_PERIOD_S

        thread = threading.Thread(target=follow, name=f"log-{device.device_id}")
        thread.start()
        # Runs before device.stop(): that wakes the thread's wait only after this flag is set.
        stack.callback(thread.join)
        stack.callback(self._stop.set)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()
        self._wake.set()

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        self._wake.set()

    def _wait(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            if not self._stop.is_set() and self._options.config is not None:
                self._reload(self._options.config)

    def _reload(self, path: Path) -> None:
        """SIGHUP: ports that the file has no more go, new ones come; the rest is left alone."""
        try:
            for wanted in read_config(path):
                if wanted.device_id not in self._devices:
                    _log.warning("device %d: new devices need a restart", wanted.device_id)
                    continue
                _apply_ports(self._devices[wanted.device_id], wanted)
        except (OptionError, SwitchError) as fault:
            _log.error("reload: %s", fault)


def _tell_refused(device: Device, refused: dict[int, int]) -> None:
    """Log the frames that ports did not take since the last time; `refused` holds the counts."""
    for port, interface in device.ports().items():
        try:
            count = device.port_stats(port).tx_dropped
        except SwitchError:
            continue  # removed since it was listed
        more = count - refused.get(port, 0)
        refused[port] = count
        if more > 0:
            _log.warning(
                "%s: port %d (%s) refused %d frames: down, full, or beyond its MTU",
                device.name, port, interface or "memory", more,
            )  # fmt: skip


def _make_device(options: DeviceOptions) -> Device:
    device = Device(
        options.device_id,
        cpu_port=options.cpu_port,
        drop_port=options.drop_port,
        threads=options.threads,
    )
    try:
        if options.program is not None:
            _load(device, options.program)
        if options.pcap is not None:
            _make_folder(options.pcap)
        for port in options.ports:
            _add_port(device, options, port)
        device.start()
    except (StartError, SwitchError):
        device.stop()
        raise
    _log.info("%s: %d ports, %d threads", device.name, len(options.ports), options.threads)
    return device


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as fault:
        raise StartError(f"--pcap {path}: {fault.strerror or fault}") from None


def _add_port(device: Device, options: DeviceOptions, port: int) -> None:
    pcap = str(options.pcap) if options.pcap else None
    device.add_port(port, options.ports[port], pcap, shared=port in options.shared_ports)


def _load(device: Device, program: Path) -> None:
    """Let the device run the program in that file."""
    try:
        device.commit(device.prepare(program.read_bytes()))
    except OSError as fault:
        raise StartError(f"{program}: {fault.strerror or fault}") from None
    except (BmvJsonError, CodegenError, SwitchError) as fault:
        raise StartError(f"{program}: {fault}") from None


def _apply_ports(device: Device, wanted: DeviceOptions) -> None:
    current = device.ports()
    for port, interface in current.items():
        if wanted.ports.get(port) != interface:
            device.remove_port(port)
            _log.info("%s: port %d removed", device.name, port)
    for port, interface in wanted.ports.items():
        if current.get(port) != interface:
            _add_port(device, wanted, port)
            _log.info("%s: port %d is %s", device.name, port, interface)
