"""`p4native switch`: run a compiled program as a switch with P4Runtime."""

from __future__ import annotations


def switch(arguments: list[str]) -> int:
    """Run the command; returns the exit code: 1 for what cannot be done, 2 for usage."""
    from p4native.switch.process import run

    return run(arguments)


switch.takes_arguments = True  # type: ignore[attr-defined]
