"""`p4native switch` as a process: its words, several devices, metrics, reload, a clean end."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from p4native.switch.options import OptionError, Options, parse
from tests.engine.net import network, wait_until
from tests.engine.programs import program


def options(*words: str) -> Options:
    parsed = parse(list(words))
    assert isinstance(parsed, Options)
    return parsed


def test_bmv2_words_are_understood_on_both_sides() -> None:
    found = options(
        "-i", "1@eth1", "--interface", "2@eth2", "--no-p4", "--device-id", "7", "--pcap",
        "--log-console", "-L", "debug", "--thrift-port", "9090", "--",
        "--grpc-server-addr", "127.0.0.1:1", "--cpu-port", "510", "--drop-port=9",
        "--shared-port", "2",
    )  # fmt: skip
    (device,) = found.devices
    assert device.shared_ports == {2}
    assert device.ports == {1: "eth1", 2: "eth2"}
    assert (device.device_id, device.cpu_port, device.drop_port) == (7, 510, 9)
    assert device.pcap == Path(".")
    assert (found.address, found.log_level) == ("127.0.0.1:1", "debug")
    assert found.notes == ["--thrift-port has no effect: there is no Thrift server; use P4Runtime"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--no-p4", "--use-files", "3"], "--use-files: not available"),
        (["--no-p4", "--priority-queues", "8"], "--priority-queues: not available"),
        (["--no-p4", "-i", "eth0"], "expected PORT@INTERFACE"),
        (["--no-p4", "-i", "1@a", "-i", "1@b"], "port 1 is given twice"),
        (["--no-p4", "-i", "1@a", "--shared-port", "2"], "shared port 2: there is no such port"),
        (["--no-p4", "--metrics-addr", "localhost"], "expected HOST:PORT"),
        (["--no-p4", "--metrics-addr", "localhost:x"], "expected HOST:PORT"),
        (["--no-p4", "--metrics-addr", "localhost:65536"], "expected HOST:PORT"),
        (["--no-p4", "--threads", "0"], "threads 0: expected 1 to 63"),
        (["--no-p4", "--cpu-port", "65536"], "cpu-port 65536: expected 0 to 65535"),
        (["--no-p4", "--device-id", "-1"], "device-id -1: expected 0 to"),
        (["--config", "x.json", "-i", "1@a"], "give none beside it"),
        ([], "give a BMv2 JSON file"),
        (["x.json", "--no-p4"], "contradicts"),
        (["--no-p4", "--grpc-server-ssl"], "needs --grpc-server-cert"),
        (["--no-p4", "--grpc-server-cert", "c"], "without --grpc-server-ssl"),
        (["--config", "/nonesuch"], "No such file"),
    ],
)
def test_what_cannot_be_followed_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        parse(words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not JSON"),
        ("{}", "expected"),
        ('{"devices": [{"port": {}}]}', "has the keys"),
        ('{"devices": [{"ports": {"x": "eth0"}}]}', "invalid literal"),
        ('{"devices": [{"ports": ["eth0"]}]}', "ports is .'eth0'., expected"),
        ('{"devices": [{"threads": "2"}]}', "threads is '2', expected a number"),
        ('{"devices": [{"threads": true}]}', "threads is True, expected a number"),
        ('{"devices": [{"pcap": 5}]}', "pcap is 5, expected a path"),
        ('{"devices": [{"threads": 64}]}', "threads 64: expected 1 to 63"),
        ('{"devices": [{}, {}]}', "same device_id"),
    ],
)
def test_faulty_configurations_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "switches.json"
    path.write_text(text)
    with pytest.raises(OptionError, match=message):
        parse(["--config", str(path)])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("PROGRAM.p4",), "PROGRAM.p4: the pipeline is not JSON"),
        (("--no-p4", "--pcap", "/proc/none"), "--pcap /proc/none: No such file or directory"),
        (
            ("--no-p4", "--grpc-server-addr", "127.0.0.1:0", "--metrics-addr", "192.0.2.1:1"),
            "--metrics-addr 192.0.2.1:1: Cannot assign",
        ),
        (("--no-p4", "--log-file", "/proc/none"), "--log-file /proc/none: No such file"),
        (("nowhere.json",), "nowhere.json: No such file or directory"),
        (("--no-p4", "-i", "1@nowhere"), "device 7: port 1 on nowhere: there is no such interface"),
    ],
)
def test_a_start_that_fails_says_once_where(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    (tmp_path / "PROGRAM.p4").write_text("#include <v1model.p4>\n")
    result = subprocess.run(
        command("--device-id", "7", *words), cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"p4native switch: {message}")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "p4native", "switch", *words]


@contextmanager
def running(log: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process, once it serves; it must end cleanly on SIGTERM."""
    address = ("--grpc-server-addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0")
    process = subprocess.Popen(
        command("--log-file", str(log), *words, *address), stderr=subprocess.PIPE
    )
    try:
        wait_until(
            lambda: process.poll() is not None or "metrics at port" in read(log),
            "the switch serves", 20,
        )  # fmt: skip
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert "stopping" in read(log)
    finally:
        process.kill()
        assert process.stderr is not None
        process.stderr.close()
        process.wait()


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def metrics(log: Path) -> str:
    found = re.search(r"metrics at port (\d+)", read(log))
    assert found is not None, read(log)
    with urllib.request.urlopen(f"http://127.0.0.1:{found[1]}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


@pytest.mark.skipif(os.geteuid() != 0, reason="raw sockets and namespaces need root")
def test_two_devices_from_a_file_that_changes(tmp_path: Path) -> None:
    log, config, json_file = tmp_path / "log", tmp_path / "switches.json", tmp_path / "p.json"
    json_file.write_bytes(program("verified"))
    with network() as net:
        a, b, c = (net.host(i) for i in (1, 2, 3))
        net.neighbours()
        first = {"device_id": 1, "program": str(json_file), "ports": {"1": a.port, "2": b.port}}
        config.write_text(json.dumps({"devices": [first, {"device_id": 2}]}))
        with running(log, "--config", str(config)) as process:
            assert a.run("ping", "-c", "1", b.address).returncode == 0
            page = metrics(log)
            assert f'p4native_port_up{{device="1",port="1",interface="{a.port}"}} 1' in page
            assert "# TYPE p4native_drops_total counter" in page
            first["ports"] = {"1": a.port, "2": c.port}
            config.write_text(json.dumps({"devices": [first, {"device_id": 2}]}))
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: f'interface="{c.port}"' in metrics(log), "the port is there")
            assert a.run("ping", "-c", "1", c.address).returncode == 0
            assert f'interface="{b.port}"' not in metrics(log)
            config.write_text("nonsense")
            process.send_signal(signal.SIGHUP)
            wait_until(lambda: "not JSON" in read(log), "the fault is logged")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nonesuch.json"], "nonesuch.json: No such file"),
        (["--no-p4", "-i", "1@nonesuch"], "there is no such interface"),
        (["--no-p4", "--grpc-server-addr", "203.0.113.1:1"], "cannot listen on 203.0.113.1:1"),
    ],
)
def test_faults_at_start_are_told_in_a_line(words: list[str], message: str) -> None:
    done = subprocess.run(command(*words), capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_faulty_program_is_located(tmp_path: Path) -> None:
    path = tmp_path / "faulty.json"
    path.write_text('{"program": "x", "__meta__": {"version": [2, 18]}, "header_types": 7}')
    done = subprocess.run(
        command(str(path)), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert "header_types" in done.stderr
    assert "Traceback" not in done.stderr
