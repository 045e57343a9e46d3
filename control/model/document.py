"""The desired state as a YAML document: read with line numbers in errors, written back stable."""

from __future__ import annotations

import io
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.reader import ReaderError

from control.model.state import DesiredState


class DocumentError(ValueError):
    """A document that cannot be used; the text begins with ``name:line:``."""

    def __init__(self, name: str, line: int, message: str) -> None:
        super().__init__(f"{name}:{line}: {message}")
        self.name = name
        self.line = line


DEEPEST = 32  # levels; a document has six


class _TooDeep(Exception):
    """A node in more levels than any document has; the argument is its line."""


class _Composer(Composer):
    """Composes nodes down to a depth at which the recursion is still far from its limit."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self._depth == DEEPEST:
            raise _TooDeep(self.parser.peek_event().start_mark.line + 1)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_Model = TypeVar("_Model", bound=DesiredState)


def parse_document(text: str, name: str = "document") -> DesiredState:
    """Read a desired state; raises DocumentError naming line and reason (``name:line: ...``)."""
    return parse_as(DesiredState, text, name)


def parse_as(model: type[_Model], text: str, name: str) -> _Model:
    """Read a desired state; DocumentError tells line and reason, ``name`` is for messages."""
    yaml = YAML(typ="rt")
    yaml.Composer = _Composer
    try:
        data = yaml.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DocumentError(name, line, f"not valid YAML: {error.problem}") from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"character {error.character:#x}: {error.reason}"
        raise DocumentError(name, line, f"not valid YAML: {what}; remove it") from None
    except _TooDeep as error:
        what = f"nested too deeply; expected {DEEPEST} levels at the most"
        raise DocumentError(name, error.args[0], what) from None
    if not isinstance(data, dict):
        raise DocumentError(name, 1, "expected keys servers, nics, networks and vms at the top")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        # A misspelt key explains a missing one, so it is told first.
        first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
        place = (*first["loc"], *getattr(first.get("ctx", {}).get("error"), "path", ()))
        raise DocumentError(name, _line(data, place), _explain(first)) from None


def dump_document(state: DesiredState) -> str:
    """Write a desired state as YAML; defaults are left out, order is the model's."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = io.StringIO()
    yaml.dump(state.model_dump(mode="json", exclude_defaults=True), out)
    return out.getvalue()


def _line(data: Any, place: tuple[int | str, ...]) -> int:
    """Line (from 1) of the deepest part of ``place`` that the document contains."""
    line = 1
    node = data
    for part in place:
        try:
            position = node.lc.data[part]
            node = node[part]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
        line = position[0] + 1
    return line


def _explain(error: ErrorDetails) -> str:
    """One pydantic error as where, what was given and what was expected."""
    where = ".".join(str(part) for part in error["loc"]) or "document"
    if error["type"] == "missing":
        return f"{where} is missing; add it"
    if error["type"] == "extra_forbidden":
        return f"{where} is not a known key; remove it or correct its spelling"
    message = error["msg"].removeprefix("Value error, ")
    given = error["input"]
    if isinstance(given, (str, int, float, bool)):
        return f"{where} is {given!r}: {message}"
    return f"{where}: {message}"
