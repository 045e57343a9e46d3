"""The lab's prompt: Mininet's, with the words of the ``lab`` command added."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import Any

from mininet.cli import CLI

from control import cli
from topologies.lab import Lab


def words() -> dict[str, str]:
    """The ``lab`` command's visible words with one line of help each."""
    found = {}
    for command in cli.app.registered_commands:
        if not command.hidden and command.callback is not None:
            name = command.name or command.callback.__name__
            found[name] = (command.callback.__doc__ or "").strip().splitlines()[0]
    for group in cli.app.registered_groups:
        if group.name and group.typer_instance is not None:
            found[group.name] = str(group.typer_instance.info.help)
    return found


class Prompt(CLI):
    """Mininet's command line of a running lab."""

    prompt = "lab> "

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        super().__init__(lab.network.net)

    def completedefault(self, text: str, *_: Any) -> list[str]:
        """Complete arguments with the names of nodes."""
        return [name for name in self.mn if name.startswith(text)]

    def do_help(self, line: str) -> None:
        """List all words; the lab's own first."""
        if not line:
            print(
                "\nThe lab's words (HELP of one: WORD --help; the same words after .venv/bin/lab):"
            )
            for name, text in sorted(words().items()):
                print(f"  {name:10} {text}")
        super().do_help(line)


def _runner(name: str, text: str) -> Callable[[Prompt, str], None]:
    """A method that runs one word of the ``lab`` command."""

    def do(_self: Prompt, line: str) -> None:
        try:
            arguments = shlex.split(line)
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            return
        cli.run_words([name, *arguments])

    do.__doc__ = text
    return do


for _name, _text in words().items():
    setattr(Prompt, f"do_{_name}", _runner(_name, _text))
