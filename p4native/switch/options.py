"""The switch's command line: `simple_switch_grpc`'s words, and a configuration file for many.

Words before and after `--` are taken alike. What a BMv2 option would do and this switch does not is
either accepted with a note or refused with the reason: see UNUSED and REFUSED.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_TCP_PORT = 65535
DEFAULT_ADDRESS = "127.0.0.1:9559"

UNUSED = {
    "thrift-port": "there is no Thrift server; use P4Runtime",
    "nanolog": "packet events are not published; use p4native trace",
    "notifications-addr": "there are no nanomsg notifications",
    "dump-packet-data": "packets are not logged; use --pcap or p4native trace",
    "log-file-max-size": "the log is not rotated here; use logrotate",
    "log-file-max-files": "the log is not rotated here; use logrotate",
    "max-port-count": "there is no limit below 65536 ports",
    "max-mc-groups": "there is no limit below 65536 multicast groups",
    "max-l1-entries": "there is no limit",
    "max-l2-entries": "there is no limit",
    "debugger-addr": "there is no debugger; use p4native trace",
}
"""Options with a value that are accepted and have no effect, and why."""

UNUSED_FLAGS = {
    "log-flush": "every line is flushed",
    "debugger": "there is no debugger; use p4native trace",
    "enable-swap": "pipelines can always be swapped",
}

REFUSED = {
    "use-files": "packets cannot come from files; use p4native bench --pcap or p4native stf",
    "packet-in": "there is no packet socket; use memory ports in Python or p4native stf",
    "dp-grpc-server-addr": "there is no gRPC packet service; use network interfaces",
    "restore-state": "BMv2's state files cannot be read; write the tables through P4Runtime",
    "priority-queues": "packets are sent in order, there are no priority queues",
}
"""Options that would change what packets or clients see, and so are not ignored."""

REFUSED_FLAGS = {"disable-swap": "SetForwardingPipelineConfig always works"}

LEVELS = ("trace", "debug", "info", "warn", "error", "off")


class OptionError(Exception):
    """A command line or configuration file that cannot be followed."""


@dataclass(slots=True)
class DeviceOptions:
    """One switch: its program, ports (number to interface) and special ports."""

    device_id: int = 0
    program: Path | None = None
    ports: dict[int, str] = field(default_factory=dict)
    shared_ports: frozenset[int] = frozenset()
    cpu_port: int | None = None
    drop_port: int = 511
    threads: int = 1
    pcap: Path | None = None


@dataclass(slots=True)
class Options:
    """The whole process."""

    devices: list[DeviceOptions]
    address: str = DEFAULT_ADDRESS
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_cacert: Path | None = None
    tls_client_auth: bool = False
    log_console: bool = False
    log_file: Path | None = None
    log_level: str = "info"
    metrics: str | None = None
    config: Path | None = None
    notes: list[str] = field(default_factory=list)


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="p4native switch",
        description="Run BMv2 JSON as a switch with P4Runtime; options as simple_switch_grpc's.",
    )
    p.add_argument("program", nargs="?", type=Path, help="BMv2 JSON; without one give --no-p4")
    p.add_argument("-i", "--interface", action="append", default=[], metavar="PORT@IFACE")
    p.add_argument("--shared-port", action="append", default=[], type=int, metavar="PORT",
                   help="a port with many senders: each gets a receive queue there")  # fmt: skip
    p.add_argument("--no-p4", action="store_true", help="wait for a pipeline over P4Runtime")
    p.add_argument("--device-id", type=int, default=0, metavar="N")
    p.add_argument("--threads", type=int, default=1, metavar="N", help="packet threads")
    p.add_argument("--config", type=Path, metavar="FILE", help="several switches, as JSON")
    p.add_argument("--pcap", nargs="?", type=Path, const=Path("."), metavar="DIR")
    p.add_argument("--log-console", action="store_true")
    p.add_argument("--log-file", type=Path, metavar="FILE")
    p.add_argument("-L", "--log-level", choices=LEVELS, default="info")
    p.add_argument("--metrics-addr", metavar="HOST:PORT", help="serve Prometheus metrics here")
    p.add_argument("--cpu-port", type=int, metavar="N")
    p.add_argument("--drop-port", type=int, default=511, metavar="N")
    p.add_argument("--grpc-server-addr", default=DEFAULT_ADDRESS, metavar="HOST:PORT")
    p.add_argument("--grpc-server-ssl", action="store_true")
    p.add_argument("--grpc-server-cacert", type=Path, metavar="FILE")
    p.add_argument("--grpc-server-cert", type=Path, metavar="FILE")
    p.add_argument("--grpc-server-key", type=Path, metavar="FILE")
    p.add_argument("--grpc-server-with-client-auth", action="store_true")
    p.add_argument("-v", "--version", action="store_true")
    p.add_argument("--json-version", action="store_true")
    for name in (*UNUSED, *REFUSED):
        p.add_argument(f"--{name}", help=argparse.SUPPRESS)
    for name in (*UNUSED_FLAGS, *REFUSED_FLAGS):
        p.add_argument(f"--{name}", action="store_true", help=argparse.SUPPRESS)
    return p


def _given(args: argparse.Namespace, names: dict[str, str]) -> list[str]:
    """The options among `names` that were given."""
    return [n for n in names if getattr(args, n.replace("-", "_")) not in (None, False)]


def parse_port(text: str) -> tuple[int, str]:
    """Return port number and interface of PORT@IFACE; OptionError if malformed."""
    number, at, interface = text.partition("@")
    if not at or not interface or not number.isdecimal():
        raise OptionError(f"-i {text}: expected PORT@INTERFACE, such as 1@eth1")
    return int(number), interface


def _metrics(text: str | None) -> str | None:
    port = (text or ":0").rpartition(":")[2]
    if ":" not in (text or ":0") or not port.isdecimal() or int(port) > MAX_TCP_PORT:
        raise OptionError(f"--metrics-addr {text}: expected HOST:PORT, such as 127.0.0.1:9100")
    return text


def _ports(texts: list[str]) -> dict[int, str]:
    ports: dict[int, str] = {}
    for number, interface in map(parse_port, texts):
        if number in ports:
            raise OptionError(f"-i {number}@{interface}: port {number} is given twice")
        ports[number] = interface
    return ports


def _shared(numbers: list[int], ports: dict[int, str]) -> frozenset[int]:
    """The ports that many senders share; OptionError for one that is not there."""
    for number in numbers:
        if number not in ports:
            raise OptionError(f"shared port {number}: there is no such port; add -i {number}@IFACE")
    return frozenset(numbers)


def parse(arguments: list[str]) -> Options | str:
    """Return the options, or the text that --version or --json-version asks for.

    OptionError for a contradiction or a refused option; usage errors exit as argparse does.
    """
    args = _parser().parse_args([a for a in arguments if a != "--"])
    if args.version:
        from p4native import __version__

        return __version__
    if args.json_version:
        return "2.23"
    for name in _given(args, REFUSED | REFUSED_FLAGS):
        raise OptionError(f"--{name}: not available: {(REFUSED | REFUSED_FLAGS)[name]}")
    if args.config and (args.program or args.interface):
        raise OptionError("--config names programs and interfaces; give none beside it")
    notes = [f"--{n} has no effect: {w}" for n, w in (UNUSED | UNUSED_FLAGS).items()
             if n in _given(args, {n: w})]  # fmt: skip
    options = Options(
        devices=read_config(args.config) if args.config else [_single(args)],
        address=args.grpc_server_addr,
        log_console=args.log_console,
        log_file=args.log_file,
        log_level=args.log_level,
        metrics=_metrics(args.metrics_addr),
        config=args.config,
        notes=notes,
    )
    _add_tls(options, args)
    return options


def _single(args: argparse.Namespace) -> DeviceOptions:
    if args.program is None and not args.no_p4:
        raise OptionError("give a BMv2 JSON file, or --no-p4 to wait for one over P4Runtime")
    if args.program is not None and args.no_p4:
        raise OptionError("--no-p4 contradicts the program on the command line")
    ports = _ports(args.interface)
    device = DeviceOptions(
        device_id=args.device_id,
        program=args.program,
        ports=ports,
        shared_ports=_shared(args.shared_port, ports),
        cpu_port=args.cpu_port,
        drop_port=args.drop_port,
        threads=args.threads,
        pcap=args.pcap,
    )
    return _checked(device)


def _add_tls(options: Options, args: argparse.Namespace) -> None:
    files = (args.grpc_server_cert, args.grpc_server_key)
    if not args.grpc_server_ssl:
        if any(files) or args.grpc_server_cacert or args.grpc_server_with_client_auth:
            raise OptionError("TLS files are given without --grpc-server-ssl")
        return
    if not all(files):
        raise OptionError("--grpc-server-ssl needs --grpc-server-cert and --grpc-server-key")
    options.tls_cert, options.tls_key = files
    options.tls_cacert = args.grpc_server_cacert
    options.tls_client_auth = args.grpc_server_with_client_auth


_KEYS = {
    "device_id": int, "program": str, "ports": dict, "shared_ports": list, "cpu_port": int,
    "drop_port": int, "threads": int, "pcap": str,
}  # fmt: skip
_WORDS = {int: "a number", str: "a path", dict: '{"1": "eth1"}', list: "a list of ports"}
_LIMITS = {
    "device_id": (0, 2**64 - 1), "cpu_port": (0, 65535), "drop_port": (0, 65535),
    "threads": (1, 63),
}  # fmt: skip


def read_config(path: Path) -> list[DeviceOptions]:
    """Return the switches in a file: {"devices": [{"device_id": 0, "ports": {"1": "eth1"}}]}.

    OptionError names what is wrong.
    """
    try:
        tree = json.loads(path.read_text())
    except OSError as fault:
        raise OptionError(f"--config {path}: {fault.strerror}") from None
    except ValueError as fault:
        raise OptionError(f"--config {path}: not JSON: {fault}") from None
    items = tree.get("devices") if isinstance(tree, dict) else None
    if not isinstance(items, list) or not items:
        raise OptionError(f'--config {path}: expected {{"devices": [...]}} with one at least')
    devices = [_configured(path, item) for item in items]
    if len({d.device_id for d in devices}) != len(devices):
        raise OptionError(f"--config {path}: two devices have the same device_id")
    return devices


def _configured(path: Path, item: Any) -> DeviceOptions:
    if not isinstance(item, dict) or set(item) - set(_KEYS):
        raise OptionError(f"--config {path}: a device has the keys {', '.join(sorted(_KEYS))}")
    for key, value in item.items():
        if value is not None and type(value) is not _KEYS[key]:
            expected = _WORDS[_KEYS[key]]
            raise OptionError(f"--config {path}: {key} is {value!r}, expected {expected}")
    given = {key: value for key, value in item.items() if value is not None}
    try:
        ports = {int(port): str(name) for port, name in given.get("ports", {}).items()}
        device = DeviceOptions(
            device_id=given.get("device_id", 0),
            program=Path(given["program"]) if given.get("program") else None,
            ports=ports,
            shared_ports=_shared(list(map(int, given.get("shared_ports", []))), ports),
            cpu_port=given.get("cpu_port"),
            drop_port=given.get("drop_port", 511),
            threads=given.get("threads", 1),
            pcap=Path(given["pcap"]) if given.get("pcap") else None,
        )
        return _checked(device)
    except (TypeError, ValueError, OptionError) as fault:
        raise OptionError(f"--config {path}: {fault}") from None


def _checked(device: DeviceOptions) -> DeviceOptions:
    """The same; OptionError for a number that cannot be."""
    for name, (low, high) in _LIMITS.items():
        value = getattr(device, name)
        if value is not None and not low <= value <= high:
            raise OptionError(f"{name.replace('_', '-')} {value}: expected {low} to {high}")
    return device
