"""The `p4native` command; each subcommand is a module in `p4native.commands`.

A subcommand's module is imported only when it is used, so that the others start fast.
"""

from __future__ import annotations

import sys
from importlib import import_module

# name: what it does, as the list of commands shows it
COMMANDS = {
    "compile": "Compile a P4_16 program for v1model to BMv2 JSON and P4Info.",
    "switch": "Run a compiled program as a switch with P4Runtime.",
    "stf": "Run a packet-test script.",
    "bench": "Measure the pipeline in memory.",
    "trace": "Show what a program does with a packet.",
}


def main() -> None:
    """Run the subcommand that the arguments name."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        raise SystemExit(0 if arguments else 2)
    name = arguments[0]
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        print(f"p4native: no command '{name}'; the commands are: {known}", file=sys.stderr)
        raise SystemExit(2)
    try:
        module = import_module(f"p4native.commands.{name}")
    except ModuleNotFoundError as e:
        if e.name != f"p4native.commands.{name}":
            raise
        print(f"p4native: command '{name}' is not part of this installation", file=sys.stderr)
        raise SystemExit(2) from None
    run(getattr(module, name), name, arguments[1:])


def run(function: object, name: str, arguments: list[str]) -> None:
    """Run a typer-style function, or one that takes the list of arguments itself."""
    if getattr(function, "takes_arguments", False):
        raise SystemExit(function(arguments))  # type: ignore[operator]
    import typer

    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command(name)(function)  # type: ignore[type-var]
    app(args=arguments, prog_name=f"p4native {name}")


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = ["usage: p4native COMMAND ...", "", "commands:"]
    lines += [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join([*lines, "", "p4native COMMAND --help tells more."])
