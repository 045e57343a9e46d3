"""What a script may name in a program: tables, keys, actions and their arguments.

Read from the BMv2 JSON, so that the output of any compiler can be tested. Names in
scripts may be shortened to an unambiguous end of the full name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from p4native.stf.errors import StfError
from p4native.stf.script import ActionCall
from p4native.stf.values import KeyMatch, parse_match, parse_number, wildcard_match

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Key:
    """A match key: its control-plane name, match kind and width in bits."""

    name: str
    kind: str
    width: int


@dataclass(frozen=True, slots=True)
class Action:
    """An action and its run-time parameters (name, width in bits)."""

    name: str
    params: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table, its keys in JSON order and the actions it may run."""

    name: str
    keys: tuple[Key, ...]
    actions: tuple[Action, ...]

    @property
    def needs_priority(self) -> bool:
        """Whether entries may overlap, so that a priority decides."""
        return any(key.kind in ("ternary", "range", "optional") for key in self.keys)


@dataclass(frozen=True, slots=True)
class BoundAction:
    """An action with a number for each parameter, in declaration order."""

    action: Action
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A table entry; ``priority`` (higher wins) is 0 where the table has none."""

    table: Table
    matches: tuple[KeyMatch, ...]
    priority: int
    action: BoundAction


@dataclass(frozen=True, slots=True)
class Schema:
    """The names of one program."""

    tables: tuple[Table, ...]

    def table(self, name: str) -> Table:
        """The table called ``name`` or the only one whose full name ends so."""
        return _by_suffix("table", name, {t.name: t for t in self.tables})

    def bind_action(self, table: Table, call: ActionCall) -> BoundAction:
        """The action of a table with its arguments in order; StfError if they do not fit."""
        actions = {action.name: action for action in table.actions}
        action = _by_suffix(f"action of table {table.name}", call.name, actions)
        given = dict(call.args)
        args: list[int] = []
        for param, width in action.params:
            if param not in given:
                raise StfError(f"{action.name} needs the argument '{param}'")
            args.append(parse_number(param, width, given.pop(param)))
        if given:
            raise StfError(
                f"{action.name} has no argument {_listed(given)}; "
                f"it takes {_listed(name for name, _ in action.params)}"
            )
        return BoundAction(action, tuple(args))

    def bind_matches(
        self, table: Table, matches: Iterable[tuple[str, str]]
    ) -> tuple[KeyMatch, ...]:
        """One match per key of the table; keys not given match anything (exact: 0)."""
        given: dict[str, str] = {}
        for name, text in matches:
            given[_find_key(table, name).name] = text
        return tuple(
            parse_match(key.name, key.kind, key.width, given[key.name])
            if key.name in given
            else wildcard_match(key.name, key.kind, key.width)
            for key in table.keys
        )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "none"


def _by_suffix(what: str, name: str, known: Mapping[str, _T]) -> _T:
    if name in known:
        return known[name]
    ends = [full for full in sorted(known) if full.endswith("." + name)]
    ends = ends or [full for full in sorted(known) if full.endswith(name)]
    if len(ends) == 1:
        return known[ends[0]]
    problem = f"'{name}' may be {_listed(ends)}" if ends else f"there is no '{name}'"
    raise StfError(f"{what}: {problem}; the program has {_listed(known)}")


def _find_key(table: Table, name: str) -> Key:
    """The key called ``name``: whole, ``h$1.f`` for ``h[1].f``, a validity, or a suffix."""
    name = re.sub(r"\$([0-9]+)", r"[\1]", name)
    keys = {key.name: key for key in table.keys}
    validity = re.sub(r"\.?(\$valid\$|valid|isValid)$", "", name)
    exact = (name, name + "$", name + ".$valid$", validity + ".$valid$", validity + ".isValid")
    for candidate in exact:
        if candidate in keys:
            return keys[candidate]
    ends = [full for full in keys if full.endswith(("." + name, f".{name}$"))]
    if not ends and validity != name:
        ends = [f for f in keys if re.search(rf"(^|\.){re.escape(validity)}\.?(\$valid\$)$", f)]
    if len(ends) != 1:
        problem = f"'{name}' may be {_listed(ends)}" if ends else f"there is no key '{name}'"
        raise StfError(f"table {table.name}: {problem}; it has {_listed(keys)}")
    return keys[ends[0]]


def read_schema(program: Mapping[str, Any]) -> Schema:
    """The schema of a program in BMv2 JSON (as loaded by ``json``)."""
    widths = _field_widths(program)
    actions = {
        action["id"]: Action(
            action["name"],
            tuple((param["name"], param["bitwidth"]) for param in action["runtime_data"]),
        )
        for action in program["actions"]
    }
    tables = [
        Table(
            table["name"],
            tuple(_key(key, widths) for key in table["key"]),
            tuple(actions[number] for number in table["action_ids"]),
        )
        for pipeline in program["pipelines"]
        for table in pipeline["tables"]
    ]
    return Schema(tuple(tables))


def _key(key: Mapping[str, Any], widths: Mapping[tuple[str, str], int]) -> Key:
    target = key["target"]
    header, member = target if isinstance(target, list) else (target, "$valid$")
    name = key.get("name") or f"{header}.{member}"
    width = 1 if member == "$valid$" else widths[(header, member)]
    kind = "exact" if key["match_type"] == "valid" else key["match_type"]
    return Key(name, kind, width)


def _field_widths(program: Mapping[str, Any]) -> dict[tuple[str, str], int]:
    types = {
        kind["name"]: {field[0]: field[1] for field in kind["fields"]}
        for kind in program["header_types"]
    }
    return {
        (header["name"], field): 0 if width == "*" else int(width)
        for header in program["headers"]
        for field, width in types[header["header_type"]].items()
    }
