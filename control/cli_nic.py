"""Words of the ``lab`` command for NICs: vf, apply, explain, drops, connections."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from control.client import Client, segment
from control.errors import ControlError

vf_app = typer.Typer(no_args_is_help=True, help="VF settings: vf set | vf show.")


def add_nic_words(app: typer.Typer) -> None:
    """Add the words to the ``lab`` command."""
    app.add_typer(vf_app, name="vf")
    for word in (apply, explain, drops, connections):
        app.command()(word)


def _print(title: str, names: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name)
    for row in rows:
        table.add_row(*(str(cell) for cell in itemgetter(*names)(row)))
    Console().print(table)


@vf_app.command("show")
def vf_show(vm: Annotated[str | None, typer.Argument(help="Only this VM.")] = None) -> None:
    """VF settings, as `ip link show PF` prints them."""
    with Client() as client:
        rows = client.get("/vf", vm=vm)
    names = ("vm", "vf", "mac", "vlan", "qos", "spoofchk", "trust", "max_tx_rate",
             "min_tx_rate", "state")  # fmt: skip
    _print("VFs", names, rows)


@vf_app.command("set")
def vf_set(vm: str, setting: str, value: str) -> None:
    """Change a setting: vf set vm1 max_tx_rate 100."""
    with Client() as client:
        client.put(f"/vf/{segment(vm)}", {"setting": setting, "value": value})
    Console().print(f"{vm}: {setting} {value}", highlight=False)


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
            Console().print(line, highlight=False, markup=False)
        if plan or not lines:
            Console().print(f"{len(lines)} changes")
            return
        client.post("/apply", {**document, "dry_run": False})
    Console().print(f"{len(lines)} changes applied")


def explain(
    vm: str,
    packet: Annotated[str, typer.Argument(help="tcp 10.0.0.1:40000 > 10.0.0.2:80")],
) -> None:
    """What the NICs do with a packet that a VM sends, stage by stage."""
    with Client() as client:
        rows = client.post("/explain", {"vm": vm, "packet": packet})
    _print(f"{vm}: {packet}", ("nic", "stage", "does", "rule"), rows)


def drops() -> None:
    """Dropped packets by port and reason."""
    with Client() as client:
        rows = client.get("/drops")
    _print("drops", ("port", "nic", "reason", "packets"), rows)


def connections() -> None:
    """Connections by VM, and why the host refused others."""
    with Client() as client:
        told = client.get("/connections")
    rows = [{"VM": vm, "connections": count} for vm, count in told["by_vm"].items()]
    _print(f"{told['connections']} connections", ("VM", "connections"), rows)
    for reason, count in told["refused"].items():
        Console().print(f"{count} refused: {reason}", highlight=False)
