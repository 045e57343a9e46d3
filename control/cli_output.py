"""How the ``lab`` command prints: whole at any width of a terminal, unbroken into a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

Show = Callable[[dict[str, Any]], object]
_PIPE_WIDTH = 1000  # more than any row: what reads a pipe wants a row on a line


def console() -> Console:
    """A console for standard output."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def say(line: str, screen: Console | None = None) -> None:
    """Print a line as it is; ``screen`` is the console that shows a status meanwhile."""
    (screen or console()).print(line, highlight=False, markup=False, soft_wrap=True)


def complain(message: str) -> None:
    """Print an error to standard error: what users give may look like markup."""
    text = f"[red]error:[/] {escape(message)}"
    Console(stderr=True).print(text, highlight=False, soft_wrap=not sys.stderr.isatty())


def show_table(title: str, columns: Mapping[str, Show], rows: Sequence[dict[str, Any]]) -> None:
    """Print rows, with what each column shows of one; numbers to the right.

    A narrow terminal folds what is too wide for it.
    """
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name, show in columns.items():
        numeric = bool(rows) and all(type(show(row)) is int for row in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(str(show(row))) for show in columns.values()))
    console().print(table)


def plain(*names: str) -> dict[str, Show]:
    """Columns that show the values of their names."""
    return {name: itemgetter(name) for name in names}
