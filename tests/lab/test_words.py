"""What the ``lab`` command says to words that make no sense: one paragraph, never a traceback."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from control.cli import run_words
from control.client import Client
from control.errors import ControlError
from topologies.lab import Lab

from .helpers import needs_root

Say = Callable[..., str]


@pytest.fixture
def say(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run one command line; what it prints as an error, without the breaks of lines."""
    monkeypatch.setenv("P4NIC_LAB_RUN", str(lab.rundir.path))

    def run(*words: str) -> str:
        run_words(list(words))
        return " ".join(capsys.readouterr().err.split())

    return run


@pytest.mark.parametrize("name", ["", ".", "..", "../vms", "a/b", "ü ?#%2F", "[/red]", "x" * 300])
@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("acl", "del"), "ACL rule"),
        (("abort",), "VM"),
        (("evacuate",), "server"),
        (("stats",), "VM"),
    ],
)
def test_a_name_that_is_not_there_is_told_whatever_it_is_made_of(
    say: Say, words: tuple[str, ...], what: str, name: str
) -> None:
    said = say(*words, name)
    assert said.replace(" ", "").startswith(f"error:thereisno{what}{name!r}.".replace(" ", ""))


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("acl", "add", "vm1", "deny", "foo"), "protocol is 'foo': Input should be 'any', 'tcp'"),
        (("acl", "add", "vm1", "deny", "tcp", "--dport", "٣"), "'٣' is not a port; expected 80"),
        (("acl", "add", "vm1", "deny", "--name", "A"), "pattern '^[a-z][a-z0-9_-]{0,31}$'"),
        (("acl", "add", "vm1", "deny", "--from", "vm9"), "there is no VM 'vm9'. Did you mean vm"),
        (("acl", "add", "vm1", "deny", "--to", "10.0.0.300"), "expected a prefix such as"),
        (("vf", "set", "[/x]", "vlan", "1"), "there is no VM '[/x]'"),
        (("migrate", "[/x]", "server2"), "there is no VM '[/x]'"),
        (("migrate", "vm1", "server2", "--memory", "inf"), "inf is not a finite number"),
        (("migrate", "vm1", "server2", "--memory", "nan"), "nan is not a finite number"),
        (("migrate", "vm1", "server2", "--memory", "-1"), "memory_mib is -1.0: Input should be"),
        (("explain", "vm1", "tcp 10.0.0.1:\u0661 > 10.0.0.3:80"), "lacks a port from 0 to 65535"),
        (("apply", "/no/such.yaml"), "cannot read /no/such.yaml: No such file or directory."),
        (("trace", "[/x]"), "trace [/x] is unknown"),
    ],
)
def test_a_mistake_is_told_with_what_was_given(
    say: Say, words: tuple[str, ...], answer: str
) -> None:
    assert answer in say(*words)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"", "expected keys servers, nics, networks and vms"),
        (b"\xff\xfe", "it is not text in UTF-8"),
        (b"vms: [\x07]", "not valid YAML: character 0x7"),
        (b"[" * 500, "nested too deeply"),
        (b"vms: 3", "servers is missing; add it"),
    ],
)
def test_a_file_that_is_no_document_is_told(
    say: Say, tmp_path: Path, content: bytes, answer: str
) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    assert answer in say("apply", str(path))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (httpx.ReadTimeout("timed out"), r"has not answered within 60 s; look into its log"),
        (httpx.RemoteProtocolError("closed"), r"went away before it had answered.* ARGS=--resume"),
        (httpx.ConnectError("refused"), r"no lab answers at .*; start one with: make run"),
    ],
)
def test_a_lab_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: httpx.TransportError, words: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(httpx.Client, "request", fail)
    with Client(tmp_path / "s") as client, pytest.raises(ControlError, match=words):
        client.get("/vms")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("migrate", "vm1", "server2"), "vm1 goes on moving; to undo it: abort vm1"),
        (("evacuate", "server1"), "server1's VMs go on moving; to undo one: abort VM"),
    ],
)
def test_who_interrupts_the_waiting_is_told_what_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    answer: str,
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "stream", interrupt)
    run_words(list(words))
    assert answer in capsys.readouterr().out


@needs_root
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # httpcore's, when refused
def test_missing_permissions_are_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    os.seteuid(65534)
    try:
        with (
            Client(tmp_path / "s") as client,
            pytest.raises(ControlError, match=r"only root .* sudo"),
        ):
            client.get("/vms")
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("words", [("vf", "show"), ("stats",), ("vms",), ("nics",)])
def test_a_table_in_a_pipe_has_a_row_to_a_line(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.setenv("P4NIC_LAB_RUN", str(lab.rundir.path))
    monkeypatch.setenv("COLUMNS", "40")
    run_words(list(words))
    said = capsys.readouterr().out
    assert "…" not in said
    for name in ("vm1", "vm4") if words != ("nics",) else ("nic1", "nic2"):
        rows = [line.split() for line in said.splitlines() if line.split()[:1] == [name]]
        assert len(rows[0]) >= 6, said  # of the first table: traffic has a second one, of drops
