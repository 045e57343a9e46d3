"""Find and read topology files."""

from __future__ import annotations

import difflib
from pathlib import Path

from control.model.document import DocumentError, parse_as
from topologies.errors import LabError
from topologies.spec import Topology

HERE = Path(__file__).parent


def available() -> list[str]:
    """Names of the topologies that come with the lab."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def load(name_or_path: str) -> Topology:
    """Read a topology by name (``two_servers``) or by path (``mine.yaml``).

    Raises LabError if there is no such topology or its file is wrong; then with ``file:line:``.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = HERE / f"{name_or_path}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(_unknown(name_or_path, error)) from None
    try:
        return parse_as(Topology, text, str(path))
    except DocumentError as error:
        raise LabError(str(error)) from None


def _unknown(name: str, error: Exception) -> str:
    """Say that a topology cannot be read, and which ones there are."""
    close = difflib.get_close_matches(name, available(), n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    reason = getattr(error, "strerror", None) or error
    return (
        f"cannot read topology {name!r}: {reason}.{hint} "
        f"Give one of {', '.join(available())}, or the path of a .yaml file."
    )
