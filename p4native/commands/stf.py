"""``p4native stf``: run a packet-test script."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from p4native.commands import options
from p4native.commands.macros import macros


def stf(
    program: Annotated[Path, typer.Argument(help="P4 program, or BMv2 JSON of one.")],
    script: Annotated[Path, typer.Argument(help="STF script: packet, expect, add …")],
    target: Annotated[str, typer.Option(help="Switch to run on: native or bmv2.")] = "native",
    include: options.Include = None,
    define: options.Define = None,
) -> None:
    """Run a packet-test script; exit code 1 tells that a packet or a state was not as expected."""
    from p4native.stf.errors import StfError
    from p4native.stf.run import run_stf

    try:
        defines = macros(define or ())
        result = run_stf(program, script, target, include or (), defines)
    except StfError as fault:
        typer.echo(f"error: {fault}", err=True)
        raise typer.Exit(1) from fault
    for note in result.notes:
        typer.echo(f"note: {script}: {note}")
    for text in result.faults:
        typer.echo(f"{script}: {text}")
    verdict = "passed" if result.passed else f"FAILED, {len(result.faults)} faults"
    typer.echo(f"{script}: {verdict} on {target}, {len(result.outputs)} packets out")
    if not result.passed:
        raise typer.Exit(1)
