"""Options that several commands have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ProgramOrSwitch = Annotated[
    Path | None, typer.Argument(help="P4 program, or BMv2 JSON of one; none with --switch.")
]
Entries = Annotated[
    Path | None,
    typer.Option(help="STF script with table entries; its packets, if no others are given."),
]
Server = Annotated[
    str | None,
    typer.Option(help="HOST:PORT of a P4Runtime server: a copy of what runs there is used."),
]
DeviceId = Annotated[
    int | None, typer.Option(help="Device of that server; without it 1, or 0 if there is no 1.")
]
Packets = Annotated[list[str] | None, typer.Option(help="Frame in hex digits.")]
Capture = Annotated[Path | None, typer.Option(help="Capture file with frames.")]
Port = Annotated[int, typer.Option(help="Port on which they arrive.")]
Include = Annotated[
    list[Path] | None, typer.Option("-I", help="Folder searched for #include files.")
]
Define = Annotated[
    list[str] | None, typer.Option("-D", help="Preprocessor macro, NAME or NAME=VALUE.")
]
