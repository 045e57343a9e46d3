"""Words of the ``lab`` command for NICs: vf, apply, explain, drops, connections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from control.cli_output import plain, say, show_table
from control.client import Client, segment
from control.errors import ControlError

vf_app = typer.Typer(no_args_is_help=True, help="VF settings: vf set | vf show.")


def add_nic_words(app: typer.Typer) -> None:
    """Add the words to the ``lab`` command."""
    app.add_typer(vf_app, name="vf")
    for word in (apply, explain, drops, connections):
        app.command()(word)


@vf_app.command("show")
def vf_show(vm: Annotated[str | None, typer.Argument(help="Only this VM.")] = None) -> None:
    """VF settings, as `ip link show PF` prints them."""
    with Client() as client:
        rows = client.get("/vf", vm=vm)
    names = plain("vm", "vf", "mac", "vlan", "qos", "spoofchk", "trust", "max_tx_rate",
                  "min_tx_rate", "state")  # fmt: skip
    show_table("VFs", names, rows)


@vf_app.command("set")
def vf_set(vm: str, setting: str, value: str) -> None:
    """Change a setting: vf set vm1 max_tx_rate 100."""
    with Client() as client:
        client.put(f"/vf/{segment(vm)}", {"setting": setting, "value": value})
    say(f"{vm}: {setting} {value}")


def apply(
    file: Annotated[Path, typer.Argument(help="The desired state, as `lab state` prints it.")],
    plan: Annotated[bool, typer.Option("--plan", help="only show what would change")] = False,
) -> None:
    """Show what a document changes, and do it."""
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise ControlError(f"cannot read {file}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise ControlError(f"cannot read {file}: it is not text in UTF-8 ({error}).") from None
    document = {"text": text, "name": str(file), "dry_run": True}
    with Client() as client:
        lines = client.post("/apply", document)["plan"]
        for line in lines:
            say(line)
        if plan or not lines:
            say(f"{len(lines)} changes")
            return
        client.post("/apply", {**document, "dry_run": False})
    say(f"{len(lines)} changes applied")


def explain(
    vm: str,
    packet: Annotated[str, typer.Argument(help="tcp 10.0.0.1:40000 > 10.0.0.2:80")],
) -> None:
    """What the NICs do with a packet that a VM sends, stage by stage."""
    with Client() as client:
        rows = client.post("/explain", {"vm": vm, "packet": packet})
    show_table(f"{vm}: {packet}", plain("nic", "stage", "does", "rule"), rows)


def drops() -> None:
    """Dropped packets by port and reason."""
    with Client() as client:
        rows = client.get("/drops")
    show_table("drops", plain("port", "nic", "reason", "packets"), rows)


def connections() -> None:
    """Connections by VM, and why the host refused others."""
    with Client() as client:
        told = client.get("/connections")
    rows = [{"VM": vm, "connections": count} for vm, count in told["by_vm"].items()]
    show_table(f"{told['connections']} connections", plain("VM", "connections"), rows)
    for reason, count in told["refused"].items():
        say(f"{count} refused: {reason}")
