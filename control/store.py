"""Durable state in SQLite: the desired state as one document, and the migration journal.

Every change is one transaction; a controller killed at any moment finds the last complete state.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from control.errors import ControlError

STATE = "desired state"  # name of the document that holds it
POLICY_NUMBERS = "policy numbers"  # by NIC and rule set, so that a new controller writes nothing
_SCHEMA = """
CREATE TABLE IF NOT EXISTS document (name TEXT PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS journal (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    vm TEXT NOT NULL,
    body TEXT NOT NULL
);
"""


class Store:
    """A small document store. Use from one thread."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        try:
            self._db = sqlite3.connect(str(path), isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise ControlError(
                f"cannot open the state file {path}: {error}; check its directory, or remove the "
                "file to start from the topology again."
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def save(self, name: str, body: Any) -> None:
        """Replace a document by ``body``, which must be JSON."""
        self.save_together({name: body})

    def save_together(self, bodies: Mapping[str, Any]) -> None:
        """Replace documents, by name: all of them or, if the controller is killed, none."""
        rows = [(name, json.dumps(body)) for name, body in bodies.items()]
        with self._transaction():
            self._db.executemany("REPLACE INTO document VALUES (?, ?)", rows)

    def load(self, name: str) -> Any:
        """A document's body, or None if there is none."""
        row = self._db.execute("SELECT body FROM document WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def journal_put(self, vm: str, body: Any) -> None:
        """Replace the journal entry of a VM's migration."""
        with self._transaction():
            self._db.execute("DELETE FROM journal WHERE vm = ?", (vm,))
            self._db.execute("INSERT INTO journal (vm, body) VALUES (?, ?)", (vm, json.dumps(body)))

    def journal_drop(self, vm: str) -> None:
        """Forget a VM's migration: it is complete or undone."""
        with self._transaction():
            self._db.execute("DELETE FROM journal WHERE vm = ?", (vm,))

    def journal(self) -> dict[str, Any]:
        """Migrations that were under way, by VM, in the order they began."""
        rows = self._db.execute("SELECT vm, body FROM journal ORDER BY id").fetchall()
        return {vm: json.loads(body) for vm, body in rows}

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")
