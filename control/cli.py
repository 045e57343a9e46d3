"""The ``lab`` command: the same words as at the lab's prompt, from any terminal."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from operator import itemgetter
from typing import Annotated

import typer
from rich.markup import escape

from control.cli_nic import add_nic_words
from control.cli_output import complain, console, plain, say, show_table
from control.client import Client, segment
from control.errors import ControlError
from control.events import Event
from control.migration.report import MigrationReport

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Look at and change the running lab."
)
acl_app = typer.Typer(no_args_is_help=True, help="Filters on VMs' traffic.")
app.add_typer(acl_app, name="acl")
add_nic_words(app)


def main() -> None:
    """Run the command line; an error is one paragraph and exit status 1."""
    try:
        app()
    except ControlError as error:
        complain(str(error))
        sys.exit(1)


def run_words(words: list[str]) -> None:
    """Run one command line within this process, as the lab's prompt does."""
    try:
        app(words, standalone_mode=False, prog_name="")
    except ControlError as error:
        complain(str(error))
    except Exception as error:
        if not hasattr(error, "format_message"):  # typer's usage errors have it
            raise
        if message := error.format_message():  # a group without a word has printed its help
            complain(message)
    except SystemExit:
        pass


@app.command()
def servers() -> None:
    """Servers, their NIC and the VMs on them."""
    with Client() as client:
        show_table(
            "servers",
            {
                "server": lambda r: r["server"],
                "NIC": lambda r: r["nic"],
                "addresses": lambda r: ", ".join(r["ips"]),
                "VFs": lambda r: r["vfs"],
                "free": lambda r: r["free_vfs"],
                "VMs": lambda r: ", ".join(r["vms"]),
            },
            client.get("/servers"),
        )


@app.command()
def nics() -> None:
    """NICs and their P4Runtime sessions."""
    with Client() as client:
        show_table(
            "NICs",
            {
                "NIC": lambda r: r["nic"],
                "server": lambda r: r["server"],
                "P4Runtime": lambda r: r["address"],
                "device": lambda r: r["device_id"],
                "state": lambda r: "up" if r["up"] else "DOWN",
                "entries": lambda r: r["entries"],
                "sessions": lambda r: r["sessions"],
            },
            client.get("/nics"),
        )


@app.command()
def vms() -> None:
    """VMs, where they are and their addresses."""
    with Client() as client:
        show_table(
            "VMs",
            {
                "VM": lambda r: r["name"],
                "server": lambda r: r["server"],
                "NIC": lambda r: r["nic"],
                "VF": lambda r: r["vf"],
                "MAC": lambda r: r["mac"],
                "addresses": lambda r: ", ".join(r["ips"]),
                "network": lambda r: r["network"],
                "model": lambda r: r["model"],
            },
            client.get("/vms"),
        )


@app.command()
def stats(vm: Annotated[str | None, typer.Argument(help="Only this VM.")] = None) -> None:
    """Traffic and drops by VM, as the guest sees them."""
    with Client() as client:
        rows = client.get("/stats", vm=vm)
    show_table(
        "traffic",
        {
            "port": lambda r: r["port"],
            "NIC": lambda r: r["nic"],
            "tx pkts": lambda r: r["tx_packets"],
            "tx bytes": lambda r: r["tx_bytes"],
            "rx pkts": lambda r: r["rx_packets"],
            "rx bytes": lambda r: r["rx_bytes"],
            "mcast": lambda r: r["rx_multicast"],
            "bcast": lambda r: r["rx_broadcast"],
            "drops": lambda r: sum(r["drops"].values()),
        },
        rows,
    )
    drops = [
        {"port": r["port"], "nic": r["nic"], "reason": reason, "packets": packets}
        for r in rows
        for reason, packets in r["drops"].items()
    ]
    if drops:
        show_table("drops", plain("port", "nic", "reason", "packets"), drops)


def _finite(value: float | None) -> float | None:
    """A number that JSON can carry."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number")
    return value


@contextmanager
def _going_on(words: str) -> Iterator[None]:
    """Ctrl-C ends the waiting, not what is waited for: say so."""
    try:
        yield
    except KeyboardInterrupt:
        say(words)
        raise


@app.command()
def migrate(
    vm: str,
    server: str,
    memory: Annotated[
        float | None, typer.Option(help="guest memory in MiB", callback=_finite)
    ] = None,
    dirty: Annotated[
        float | None, typer.Option(help="MiB the guest dirties per second", callback=_finite)
    ] = None,
) -> None:
    """Move a running VM to another server; print what it took."""
    body = {"vm": vm, "server": server, "memory_mib": memory, "dirty_mib_s": dirty}
    screen = console()
    with (
        _going_on(f"{vm} goes on moving; to undo it: abort {vm}"),
        Client() as client,
        screen.status(escape(f"migrating {vm} to {server}")),
    ):
        for item in client.stream("POST", "/migrations", body):
            if "report" in item:
                screen.print(MigrationReport.from_dict(item["report"]).table())


@app.command()
def evacuate(server: str) -> None:
    """Move all VMs off a server, several at a time; those that no other server takes stay."""
    screen = console()
    moved = stayed = 0
    with (
        _going_on(f"{server}'s VMs go on moving; to undo one: abort VM"),
        Client() as client,
        screen.status(escape(f"evacuating {server}")),
    ):
        for item in client.stream("POST", f"/evacuations/{segment(server)}"):
            outcome, report = item["outcome"], item["outcome"]["report"]
            moved, stayed = moved + (report is not None), stayed + (report is None)
            for tried in outcome["tried"]:
                say(f"{outcome['vm']}: tried {tried['server']}: {tried['reason']}", screen)
            text = f"stays: {outcome['error']}"
            if report is not None:
                text = f"moved to {report['destination']}, blackout {report['blackout_ms']:.1f} ms"
            say(f"{outcome['vm']}: {text}", screen)
    if stayed:
        raise ControlError(f"{stayed} of {moved + stayed} VMs could not leave {server}.")
    if not moved:
        say(f"there are no VMs on {server}")


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> None:
    """Measure planes side by side: bench [NAME...] [--quick]; starts labs of its own."""
    command = [sys.executable, "-m", "bench", "measure", *context.args]
    raise SystemExit(subprocess.run(command).returncode)


@app.command()
def abort(vm: str) -> None:
    """Undo a migration that is under way."""
    with Client() as client:
        client.delete(f"/migrations/{segment(vm)}")
    say(f"{vm} stays where it is")


@app.command()
def trace(state: Annotated[str, typer.Argument(help="on or off")]) -> None:
    """Show table writes, packet-ins and NIC events at the lab's prompt, or stop it."""
    if state not in ("on", "off"):
        raise ControlError(f"trace {state} is unknown; say: trace on, or: trace off")
    with Client() as client:
        client.put("/trace", {"on": state == "on"})
    say(f"trace is {state}")


@app.command()
def events(follow: Annotated[bool, typer.Option("--follow", "-f")] = False) -> None:
    """Print what happened in the lab lately; with --follow, also what happens next."""
    with Client() as client:
        for item in client.stream("GET", "/events", follow=follow):
            say(Event(**item).line())


@app.command()
def state() -> None:
    """Print the desired state as YAML."""
    with Client() as client:
        sys.stdout.write(client.get("/state"))


@app.command(hidden=True)
def endpoint(nic: str) -> None:
    """Print the options with which p4runtime-shell reaches a NIC."""
    with Client() as client:
        where = client.get(f"/nics/{segment(nic)}/endpoint")
    sys.stdout.write(
        f"--grpc-addr {where['address']} --device-id {where['device_id']} --election-id 0,1\n"
    )


@acl_app.command("list")
def acl_list() -> None:
    """Rules, highest priority first."""
    with Client() as client:
        rows = client.get("/acl")
    show_table(
        "ACL",
        {
            "rule": itemgetter("name"),
            "VM": lambda r: r["vm"] or "every",
            "": itemgetter("direction"),
            "does": itemgetter("action"),
            "protocol": itemgetter("protocol"),
            "from": lambda r: _end(r["src"], r["src_ports"]),
            "to": lambda r: _end(r["dst"], r["dst_ports"]),
            "priority": itemgetter("priority"),
        },
        rows,
    )


def _end(prefix: str | None, ports: str | None) -> str:
    """One end of a rule: prefix and ports, as far as they matter."""
    return (prefix or "any") + (f" port {ports}" if ports else "")


@acl_app.command("add")
def acl_add(
    vm: Annotated[str, typer.Argument(help="VM whose traffic is filtered.")],
    action: Annotated[str, typer.Argument(help="allow or deny")],
    protocol: Annotated[str, typer.Argument(help="any, tcp, udp, icmp, icmpv6")] = "any",
    direction: Annotated[str, typer.Option(help="in: towards the VM; out: from it")] = "in",
    src: Annotated[str | None, typer.Option("--from", help="prefix or VM")] = None,
    dst: Annotated[str | None, typer.Option("--to", help="prefix or VM")] = None,
    sport: Annotated[str | None, typer.Option(help="port or range: 80, 8000-8999")] = None,
    dport: Annotated[str | None, typer.Option(help="port or range: 80, 8000-8999")] = None,
    priority: Annotated[int, typer.Option(help="higher wins")] = 1000,
    name: Annotated[str | None, typer.Option(help="default: r1, r2, ...")] = None,
) -> None:
    """Add a rule: acl add vm3 deny icmp --from vm1."""
    rule = {
        "name": name, "vm": vm, "action": action, "protocol": protocol, "direction": direction,
        "src": src, "dst": dst, "src_ports": sport, "dst_ports": dport, "priority": priority,
    }  # fmt: skip
    with Client() as client:
        added = client.post("/acl", rule)
    say(f"rule {added['name']} added")


@acl_app.command("del")
def acl_del(name: str) -> None:
    """Remove a rule by name."""
    with Client() as client:
        client.delete(f"/acl/{segment(name)}")
    say(f"rule {name} removed")


if __name__ == "__main__":
    main()
