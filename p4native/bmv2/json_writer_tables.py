"""Pipelines: the control flow graph, tables, conditionals and action profiles."""

from __future__ import annotations

from p4native.bmv2.json_writer_context import Context, Json, hexstr
from p4native.bmv2.json_writer_exprs import ExprWriter
from p4native.frontend.diagnostics import Loc
from p4native.midend import core

DEFAULT_SIZE = 1024
_PRECEDENCE = {"exact": 0, "lpm": 1, "ternary": 2, "optional": 2, "range": 3}

Next = dict[str, "str | None"]


class PipelineWriter:
    """Writes one pipeline (ingress or egress)."""

    def __init__(self, context: Context, exprs: ExprWriter, control: core.Control) -> None:
        self.context = context
        self.exprs = exprs
        self.control = control
        self.conditionals: list[Json] = []
        self.profiles: dict[core.Instance, Json] = {}
        self._behind: dict[core.Block | core.Loop, str | None] = {}
        self._next: dict[core.Table, tuple[str | None, Next]] = {}

    def write(self) -> Json:
        """The pipeline's JSON."""
        start = self._sequence(self.control.body, None)
        made: Json = {
            "name": self.control.name,
            "id": self.context.next_id("control"),
            **self.context.source_info(self.control.loc),
            "init_table": start,
            "tables": [self._table(t) for t in self.control.tables],
        }
        made["action_profiles"] = list(self.profiles.values())
        made["conditionals"] = list(reversed(self.conditionals))
        return made

    # --- control flow ---

    def _sequence(self, body: list[core.Stmt], behind: str | None) -> str | None:
        """The name of the node that executes `body` and then goes on to `behind`."""
        for s in reversed(body):
            behind = self._node(s, behind)
        return behind

    def _node(self, s: core.Stmt, behind: str | None) -> str | None:
        if isinstance(s, core.Apply):
            return self._apply(s, behind)
        if isinstance(s, core.If):
            return self._if(s, behind)
        if isinstance(s, core.Block):
            self._behind[s] = behind
            return self._sequence(s.body, behind)
        if isinstance(s, core.Leave):
            return self._behind[s.target]
        if isinstance(s, core.Exit):
            return None
        self.context.error("this statement is not supported in a pipeline", s.loc)
        return behind

    def _if(self, s: core.If, behind: str | None) -> str | None:
        then = self._sequence(s.then, behind)
        other = self._sequence(s.other, behind)
        if then == other:
            return then
        number = self.context.next_id("conditionals")
        name = self.context.program.fresh(f"node_{self.context.next_id('nodes') + 2}")
        self.conditionals.append(
            {
                "name": name,
                "id": number,
                **self.context.source_info(s.loc),
                "expression": self.exprs.condition(s.cond),
                "true_next": then,
                "false_next": other,
            }
        )
        return name

    def _apply(self, s: core.Apply, behind: str | None) -> str | None:
        base: str | None
        if s.hit is not None or s.miss is not None:
            base, following = (
                None,
                {
                    "__HIT__": self._sequence(s.hit or [], behind),
                    "__MISS__": self._sequence(s.miss or [], behind),
                },
            )
        elif s.cases is not None:
            base, following = behind, self._by_action(s, behind)
        else:
            base, following = behind, {r.action.name: behind for r in s.table.actions}
        known = self._next.get(s.table)
        if known is not None and known != (base, following):
            self.context.reporter.error(
                "invalid",
                f"table '{s.table.name}' is applied at several places with different successors,"
                " which this target cannot do",
                s.table.loc,
                (s.loc, "applied here"),
            )
        self._next[s.table] = (base, following)
        return s.table.name

    def _by_action(self, s: core.Apply, behind: str | None) -> Next:
        assert s.cases is not None
        default = behind
        named: Next = {}
        for labels, body in s.cases:
            target = self._sequence(body, behind)
            for action in labels:
                if action is None:
                    default = target
                else:
                    named[action.name] = target
        return {r.action.name: named.get(r.action.name, default) for r in s.table.actions}

    # --- tables ---

    def _table(self, table: core.Table) -> Json:
        context = self.context
        made: Json = {"name": table.name, "id": context.next_id("tables")}
        made.update(context.source_info(table.loc))
        keys = [k for k in table.keys if k.match != "selector"]
        made["key"] = [self._key(k) for k in keys]
        kinds = [k.match for k in keys]
        match = max(kinds, key=lambda m: _PRECEDENCE[m], default="exact")
        made["match_type"] = "ternary" if match == "optional" else match
        self._implementation(table, made)
        made["max_size"] = len(table.entries) or table.size or DEFAULT_SIZE
        made["with_counters"] = table.counter is not None
        made["support_timeout"] = table.timeout
        made["direct_meters"] = table.meter.name if table.meter is not None else None
        made["action_ids"] = [context.action_ids[r.action] for r in table.actions]
        made["actions"] = [r.action.name for r in table.actions]
        nowhere: tuple[str | None, Next] = (None, {r.action.name: None for r in table.actions})
        made["base_default_next"], made["next_tables"] = self._next.get(table, nowhere)
        if table.implementation is not None:
            self._ignore_content(table)
            return made
        self._default(table, made)
        if table.has_entries:
            made["entries"] = [self._entry(table, keys, e) for e in table.entries]
        return made

    def _ignore_content(self, table: core.Table) -> None:
        """BMv2 refuses a program in which the content of a table with members is written."""
        has_default = table.default is not None and table.default.body
        for there, what in ((has_default, "default_action"), (table.entries, "entries")):
            if there:
                self.context.reporter.warning(
                    "unsupported",
                    f"'{what}' of table '{table.name}' has no effect: this target has none in"
                    " tables with an action profile",
                    table.loc,
                )

    def _key(self, key: core.Key) -> Json:
        e = key.expr
        target: list[str]
        if isinstance(e, core.Valid):
            assert isinstance(e.header, core.Header)
            target = [e.header.name, "$valid$"]
        else:
            plain = self.exprs.plain(e)
            assert plain is not None
            target = plain["value"]
        return {
            "match_type": "ternary" if key.match == "optional" else key.match,
            "name": key.name,
            "target": target,
            "mask": None,
        }

    def _implementation(self, table: core.Table, made: Json) -> None:
        profile = table.implementation
        if profile is None:
            made["type"] = "simple"
            return
        selector = profile.kind == "action_selector"
        made["type"] = "indirect_ws" if selector else "indirect"
        made["action_profile"] = profile.name
        inputs = [self.exprs.argument(k.expr) for k in table.keys if k.match == "selector"]
        known = self.profiles.get(profile)
        if known is not None:
            if selector and known.get("selector", {}).get("input") != inputs:
                self.context.error(
                    f"tables sharing selector '{profile.name}' have different selector keys",
                    table.loc,
                    "invalid",
                )
            return
        found: Json = {"name": profile.name, "id": self.context.next_id("action_profiles")}
        found.update(self.context.source_info(profile.loc))
        found["max_size"] = profile.args.get("size", DEFAULT_SIZE)
        if selector:
            found["selector"] = {"algo": profile.args.get("algorithm"), "input": inputs}
        self.profiles[profile] = found

    def _default(self, table: core.Table, made: Json) -> None:
        if table.default is None:
            return
        made["default_entry"] = {
            "action_id": self.context.action_ids[table.default],
            "action_const": table.default_const,
            "action_data": [hexstr(a) for a in table.default_args],
            "action_entry_const": table.default_const,
        }

    # --- entries ---

    def _entry(self, table: core.Table, keys: list[core.Key], entry: core.Entry) -> Json:
        values = [v for v, k in zip(entry.keys, table.keys, strict=True) if k.match != "selector"]
        return {
            **self.context.source_info(entry.loc),
            "match_key": [self._match(k, v, entry.loc) for k, v in zip(keys, values, strict=True)],
            "action_entry": {
                "action_id": self.context.action_ids[entry.action],
                "action_data": [hexstr(a) for a in entry.args],
            },
            "priority": entry.priority,
        }

    def _match(self, key: core.Key, value: core.KeyValue, loc: Loc) -> Json:
        width = core.scalar_width(key.expr.type)
        ones = (1 << width) - 1
        made: Json = {"match_type": "ternary" if key.match == "optional" else key.match}
        if key.match == "range":
            high = ones if value.any else value.value if value.high is None else value.high
            made["start"] = hexstr(value.value, width)
            made["end"] = hexstr(high, width)
            return made
        made["key"] = hexstr(value.value, width)
        mask = 0 if value.any else ones if value.mask is None else value.mask
        if value.high is not None or (key.match == "exact" and mask != ones):
            self.context.error(f"this set cannot be matched by an '{key.match}' key", loc)
        if key.match == "lpm":
            made["prefix_length"] = self._prefix(mask, width, loc)
        elif key.match != "exact":
            made["mask"] = hexstr(mask, width)
        return made

    def _prefix(self, mask: int, width: int, loc: Loc) -> int:
        length = mask.bit_count()
        if mask != ((1 << length) - 1) << (width - length):
            self.context.error("an lpm key's mask must be a prefix", loc, "invalid")
        return length
