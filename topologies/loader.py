"""Read a topology file; a mistake is reported with its line and what was expected."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from topologies.errors import LabError, TopologyError
from topologies.spec import Topology

HERE = Path(__file__).parent


def available() -> list[str]:
    """Names of the topologies that come with the lab."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def load(name_or_path: str) -> Topology:
    """Read a topology by name (``two_servers``) or by path (``mine.yaml``).

    Raises LabError if there is no such topology, TopologyError if the file is wrong.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = HERE / f"{name_or_path}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LabError(_unknown(name_or_path, error)) from None
    return parse(text, path)


def _unknown(name: str, error: Exception) -> str:
    """Say that a topology does not exist and which ones do."""
    close = difflib.get_close_matches(name, available(), n=1)
    hint = f" Did you mean {close[0]}?" if close else ""
    reason = getattr(error, "strerror", None) or error
    return (
        f"cannot read topology {name!r}: {reason}.{hint} "
        f"Give one of {', '.join(available())}, or the path of a .yaml file."
    )


def parse(text: str, path: Path) -> Topology:
    """Validate the text of a topology file; ``path`` is for messages only."""
    try:
        data = YAML(typ="rt").load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TopologyError(path, line, f"not valid YAML: {error.problem}") from None
    if not isinstance(data, dict):
        raise TopologyError(path, 1, "expected keys name, description and servers at the top")
    try:
        return Topology.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise TopologyError(path, _line(data, first["loc"]), _explain(first)) from None


def _line(data: Any, location: tuple[int | str, ...]) -> int:
    """Line (from 1) of the deepest part of ``location`` that the file contains."""
    line = 1
    node = data
    for part in location:
        try:
            marks = node.lc.data[part]
            node = node[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
        line = marks[0] + 1
    return line


def _explain(error: ErrorDetails) -> str:
    """Turn one pydantic error into where, what was given and what was expected."""
    where = ".".join(str(part) for part in error["loc"]) or "topology"
    if error["type"] == "missing":
        return f"{where} is missing; add it"
    if error["type"] == "extra_forbidden":
        return f"{where} is not a known key; remove it or correct its spelling"
    message = error["msg"].removeprefix("Value error, ")
    given = error["input"]
    if isinstance(given, (str, int, float, bool)):
        return f"{where} is {given!r}: {message}"
    return f"{where}: {message}"
