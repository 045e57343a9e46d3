"""The compilation cache: results with the contents of every file they were made from.

An entry is found by what was asked for (path, include folders, macros) and the compiler's own
sources; it holds while all files that were read have the content they had.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

_SOURCES = ("frontend", "midend", "bmv2", "p4include")
_KEEP = 200


def cache_folder() -> Path:
    """Where compilations are kept: `${XDG_CACHE_HOME:-~/.cache}/p4native/compile`."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "p4native" / "compile"


class Cache:
    """Looks up and stores one compilation request."""

    def __init__(self, request: tuple[str, list[str], dict[str, str]]) -> None:
        path, dirs, defines = request
        asked = [path, os.getcwd(), dirs, sorted(defines.items()), _compiler_stamp()]
        key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()
        self._file = cache_folder() / f"{key}.json"

    def load(self) -> dict[str, str] | None:
        """The stored texts if they are still right."""
        try:
            entry: dict[str, Any] = json.loads(self._file.read_bytes())
            files: dict[str, str] = entry["files"]
            if all(_content_hash(name) == known for name, known in files.items()):
                texts: dict[str, str] = entry["texts"]
                return texts
        except (OSError, ValueError, KeyError):
            pass
        return None

    def store(self, texts: dict[str, str], inputs: list[str]) -> None:
        """Keep the result of a compilation that read `inputs`; a cache that fails is no error."""
        files = {name: _content_hash(name) for name in inputs if os.path.isfile(name)}
        entry = json.dumps({"files": files, "texts": texts})
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=self._file.parent, suffix=".tmp", delete=False
            ) as out:
                out.write(entry)
            os.replace(out.name, self._file)
            _trim(self._file.parent)
        except OSError:
            return


def _trim(folder: Path) -> None:
    """Remove the oldest entries beyond the limit."""
    entries = sorted(folder.glob("*.json"), key=lambda p: p.stat().st_mtime)
    for old in entries[: max(0, len(entries) - _KEEP)]:
        old.unlink(missing_ok=True)


def _content_hash(name: str) -> str:
    return hashlib.sha256(Path(name).read_bytes()).hexdigest()


def _compiler_stamp() -> str:
    """A hash of the compiler's own files."""
    root = Path(__file__).parent
    sha = hashlib.sha256()
    for folder in _SOURCES:
        for base, dirs, names in os.walk(root / folder):
            dirs.sort()
            for name in sorted(names):
                if name.endswith((".py", ".p4")):
                    path = os.path.join(base, name)
                    sha.update(path.encode())
                    with open(path, "rb") as source:
                        sha.update(source.read())
    return sha.hexdigest()
