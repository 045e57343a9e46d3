"""Reads the match-action part of BMv2 JSON: tables, entries, conditionals, action profiles."""

from __future__ import annotations

from p4native.bmv2 import model as m
from p4native.bmv2.expressions import ExpressionReader
from p4native.bmv2.node import Node

_MATCH_KINDS = tuple(kind.value for kind in m.MatchKind)


def read_pipeline(
    node: Node,
    exprs: ExpressionReader,
    actions: dict[int, m.Action],
    profiles: list[m.ActionProfile],
) -> m.Pipeline:
    """One control; its action profiles are appended to `profiles`."""
    local = [_profile(p, exprs) for p in node.items("action_profiles")]
    profiles.extend(local)
    reader = _TableReader(exprs, actions, {p.name for p in local})
    pipeline = m.Pipeline(
        name=node["name"].str(),
        id=node["id"].uint(),
        init=node["init_table"].optional_str(),
        tables=tuple(reader.table(t) for t in node["tables"]),
        conditionals=tuple(_conditional(c, exprs) for c in node["conditionals"]),
        calls=tuple(_direct_call(c, actions) for c in node.items("action_calls")),
    )
    _check_graph(node, pipeline)
    return pipeline


def _check_graph(node: Node, pipeline: m.Pipeline) -> None:
    nodes: list[m.Table | m.Conditional | m.DirectCall] = [
        *pipeline.tables,
        *pipeline.conditionals,
        *pipeline.calls,
    ]
    known = {n.name for n in nodes}
    if len(known) != len(nodes):
        raise node.error("two control-flow nodes have the same name")
    targets: list[str | None] = [pipeline.init]
    for table in pipeline.tables:
        targets += [*table.next_by_action.values(), table.next_hit, table.next_miss]
        targets.append(table.base_default_next)
    for cond in pipeline.conditionals:
        targets += [cond.true_next, cond.false_next]
    targets += [call.next_node for call in pipeline.calls]
    for target in targets:
        if target is not None and target not in known:
            raise node.error(f"control flow goes to unknown node '{target}'")


def _profile(node: Node, exprs: ExpressionReader) -> m.ActionProfile:
    selector = node.get("selector")
    return m.ActionProfile(
        node["name"].str(),
        node["id"].uint(),
        node["max_size"].uint(),
        None
        if selector is None
        else m.Selector(
            selector["algo"].str(), tuple(exprs.calc_input(i) for i in selector["input"])
        ),
    )


def _conditional(node: Node, exprs: ExpressionReader) -> m.Conditional:
    true_next, false_next = node.get("true_next"), node.get("false_next")
    return m.Conditional(
        node["name"].str(),
        node["id"].uint(),
        exprs.expression(node["expression"]),
        None if true_next is None else true_next.str(),
        None if false_next is None else false_next.str(),
        _source(node),
    )


def _source(node: Node) -> str:
    """The P4 text that a node comes from, in one line."""
    info = node.get("source_info")
    fragment = None if info is None else info.get("source_fragment")
    return "" if fragment is None else " ".join(str(fragment.value).split())


def _direct_call(node: Node, actions: dict[int, m.Action]) -> m.DirectCall:
    action_id = node["action_id"].uint()
    if action_id not in actions:
        raise node["action_id"].error(f"unknown action id {action_id}")
    if actions[action_id].params:
        raise node.error(f"action '{actions[action_id].name}' needs arguments")
    return m.DirectCall(
        node["name"].str(), node["id"].uint(), action_id, node["next_node"].optional_str()
    )


class _TableReader:
    """Reads the tables of one pipeline."""

    def __init__(
        self, exprs: ExpressionReader, actions: dict[int, m.Action], profiles: set[str]
    ) -> None:
        self.exprs = exprs
        self.actions = actions
        self.profiles = profiles

    def table(self, node: Node) -> m.Table:
        keys = tuple(self._key(k) for k in node["key"])
        impl = node["type"].choice("simple", "indirect", "indirect_ws")
        action_ids = self._action_ids(node)
        next_tables = node["next_tables"]
        hit, miss = next_tables.get("__HIT__"), next_tables.get("__MISS__")
        by_hit, by_miss = next_tables.has("__HIT__"), next_tables.has("__MISS__")
        default = node.get("default_entry")
        entries = node.get("entries")
        base_next = node.get("base_default_next")
        meter = node.get("direct_meters")
        return m.Table(
            name=node["name"].str(),
            id=node["id"].uint(),
            match_type=node["match_type"].choice("exact", "lpm", "ternary", "range"),
            impl=impl,
            profile=self._profile(node) if impl != "simple" else None,
            max_size=self._size(node, entries),
            with_counters=self._flag(node, "with_counters"),
            support_timeout=self._flag(node, "support_timeout"),
            direct_meter=None if meter is None else self.exprs.names.object(meter, "meter_arrays"),
            keys=keys,
            action_ids=action_ids,
            next_by_action=self._next_by_action(next_tables, action_ids, by_hit or by_miss),
            next_hit=None if hit is None else hit.str(),
            next_miss=None if miss is None else miss.str(),
            by_hit=by_hit,
            by_miss=by_miss,
            base_default_next=None if base_next is None else base_next.str(),
            default=None if default is None else self._default(default),
            default_action_const=default is not None and self._flag(default, "action_const"),
            default_entry_const=default is not None and self._flag(default, "action_entry_const"),
            entries=() if entries is None else tuple(self._entry(e, keys) for e in entries),
            immutable=entries is not None,
        )

    @staticmethod
    def _flag(node: Node, key: str) -> bool:
        value = node.get(key)
        return value is not None and value.bool()

    @staticmethod
    def _size(node: Node, entries: Node | None) -> int:
        if entries is not None:
            return len(entries)
        return node["max_size"].uint()

    def _profile(self, node: Node) -> str:
        name = node.get("action_profile")
        if name is None:
            name = node["act_prof_name"]
        if name.str() not in self.profiles:
            raise name.error(f"unknown action profile '{name.str()}'")
        return name.str()

    def _action_ids(self, node: Node) -> tuple[int, ...]:
        ids = node.get("action_ids")
        if ids is not None:
            for item in ids:
                if item.int() not in self.actions:
                    raise item.error(f"unknown action id {item.int()}")
            return tuple(i.int() for i in ids)
        by_name = {a.name: a.id for a in self.actions.values()}
        for item in node["actions"]:
            if item.str() not in by_name:
                raise item.error(f"unknown action '{item.str()}'")
        return tuple(by_name[i.str()] for i in node["actions"])

    def _next_by_action(
        self, node: Node, action_ids: tuple[int, ...], hit_miss: bool
    ) -> dict[int, str | None]:
        if hit_miss:
            return {}
        result: dict[int, str | None] = {}
        for action_id in action_ids:
            result[action_id] = node[self.actions[action_id].name].optional_str()
        return result

    def _key(self, node: Node) -> m.Key:
        kind = m.MatchKind(node["match_type"].choice(*_MATCH_KINDS))
        target = node["target"]
        name, mask = node.get("name"), node.get("mask")
        if kind is m.MatchKind.VALID:
            header = self.exprs.names.header(target)
            label = header.name if name is None else name.str()
            return m.Key(label, kind, m.HeaderRef(header), 1)
        if isinstance(target.value, dict):
            return self._computed_key(node, kind, target)
        ref = self.exprs.field(target)
        label = f"{ref.header.name}.{ref.field.name}" if name is None else name.str()
        if ref.field.varbit:
            raise target.error("a variable-length field cannot be matched on")
        return m.Key(label, kind, ref, ref.field.width, None if mask is None else mask.uhex())

    def _computed_key(self, node: Node, kind: m.MatchKind, target: Node) -> m.Key:
        """A key that p4c leaves as an expression: a field of a stack element picked at run time."""
        e = self.exprs.expression(target)
        htype = m.header_type_of(e.left) if isinstance(e, m.Op) else None
        if not isinstance(e, m.Op) or e.op != "access_field" or htype is None:
            raise target.error("expected a field as the target of a key")
        width = htype.fields[e.index].width if e.index < len(htype.fields) else 1
        return m.Key(node["name"].str(), kind, e, width)

    def _call(self, action: Node, data: Node) -> m.ActionCall:
        action_id = action.uint()
        if action_id not in self.actions:
            raise action.error(f"unknown action id {action_id}")
        expected = len(self.actions[action_id].params)
        if len(data) != expected:
            raise data.error(
                f"{len(data)} arguments for action '{self.actions[action_id].name}', "
                f"expected {expected}"
            )
        return m.ActionCall(action_id, tuple(d.hex() for d in data))

    def _default(self, node: Node) -> m.ActionCall:
        return self._call(node["action_id"], node["action_data"])

    def _entry(self, node: Node, keys: tuple[m.Key, ...]) -> m.Entry:
        fields = node["match_key"]
        if len(fields) != len(keys):
            raise fields.error(f"{len(fields)} match fields, expected {len(keys)}")
        priority = node.get("priority")
        action = node["action_entry"]
        return m.Entry(
            tuple(_entry_key(f, k) for f, k in zip(fields, keys, strict=True)),
            self._call(action["action_id"], action["action_data"]),
            0 if priority is None else priority.int(),
        )


def _entry_key(node: Node, key: m.Key) -> m.EntryKey:
    kind = m.MatchKind(node["match_type"].choice(*_MATCH_KINDS))
    if kind is not key.kind:
        raise node.error(f"match type {kind.value}, expected {key.kind.value}")
    match kind:
        case m.MatchKind.VALID:
            return m.EntryKey(kind, int(node["key"].bool()))
        case m.MatchKind.LPM:
            return m.EntryKey(kind, node["key"].uhex(), prefix_len=node["prefix_length"].uint())
        case m.MatchKind.TERNARY | m.MatchKind.OPTIONAL:
            return m.EntryKey(kind, node["key"].uhex(), node["mask"].uhex())
        case m.MatchKind.RANGE:
            return m.EntryKey(kind, node["start"].uhex(), node["end"].uhex())
    return m.EntryKey(kind, node["key"].uhex())
