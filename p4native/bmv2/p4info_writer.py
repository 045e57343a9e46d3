"""P4Info of an elaborated program.

Written before lowering: user-defined types, annotations and the control plane's names are still
what the programmer wrote. Objects come in the order of the package's blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from p4native.bmv2.p4info_annotations import (
    add_annotations,
    add_documentation,
    annotation,
    is_hidden,
    number_of,
    text_of,
    wanted_id,
)
from p4native.bmv2.p4info_ids import Symbols, field_ids
from p4native.bmv2.p4info_types import (
    TypeSpecs,
    flat_fields,
    type_name,
    value_bytes,
    wire_width,
)
from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc, Reporter
from p4native.frontend.types import (
    BitsType,
    BoolType,
    EnumType,
    ErrorType,
    NewType,
    StructType,
)
from p4native.midend import access, core
from p4native.midend.elaborate.program import Elaborated

if TYPE_CHECKING:
    from finsy.proto.p4.config.v1.p4info_pb2 import P4Info

DEFAULT_SIZE = 1024
_UNITS = {"packets": "PACKETS", "bytes": "BYTES", "packets_and_bytes": "BOTH"}
_PROFILES = ("action_profile", "action_selector")
_PROFILE_OWN = frozenset({"max_group_size", "selector_size_semantics", "max_member_weight"})
_KINDS = {
    "counter": "counter",
    "direct_counter": "direct_counter",
    "meter": "meter",
    "direct_meter": "direct_meter",
    "register": "register",
    "action_profile": "action_profile",
    "action_selector": "action_profile",
}
_PKG_FIELDS = ("name", "version", "organization", "contact", "url", "arch")
_PLATFORM_FIELDS = (
    "multicast_group_table_size",
    "multicast_group_table_total_replicas",
    "multicast_group_table_max_replicas_per_entry",
)


def write_p4info(elaborated: Elaborated, reporter: Reporter) -> P4Info:
    """The P4Info message; what it cannot express is reported."""
    return _Writer(elaborated, reporter).write()


def p4info_text(p4info: P4Info) -> str:
    """The message as text protobuf with the customary header."""
    from google.protobuf import text_format

    head = "# proto-file: p4/config/v1/p4info.proto\n# proto-message: p4.config.v1.P4Info\n\n"
    text: str = text_format.MessageToString(p4info, as_utf8=False)
    return head + text


class _Writer:
    def __init__(self, elaborated: Elaborated, reporter: Reporter) -> None:
        from finsy.proto.p4.config.v1 import p4info_pb2

        self.pb = p4info_pb2
        self.info = p4info_pb2.P4Info()
        self.elaborated = elaborated
        self.program = elaborated.program
        self.reporter = reporter
        self.symbols = Symbols(reporter)
        self.types = TypeSpecs(self.info, self.program.errors, reporter)
        self.digest_types = {d.name: d.type for d in elaborated.digests}

    def write(self) -> P4Info:
        """Collect all names, then fill the message."""
        self._collect()
        self.symbols.assign()
        self._value_sets()
        for control in self.program.controls.values():
            self._actions(control)
            self._digests(control)
            if any(isinstance(s, core.Extern) and _is_function(s) for s in _statements(control)):
                self.types.touch()
        for instance in self.program.instances:
            self._instance(instance)
        for control in self.program.controls.values():
            for item in control.order:
                if isinstance(item, core.Table):
                    self._table(item)
                else:
                    self._instance(item)
        self._controller_headers()
        self._package()
        info: P4Info = self.info
        return info

    # --- names ---

    def _collect(self) -> None:
        for value_set in self.program.parser.value_sets:
            self._add("value_set", value_set.name, value_set.annotations, value_set.loc)
        for instance in self._all_instances():
            self._add(
                _KINDS.get(instance.kind, ""), instance.name, instance.annotations, instance.loc
            )
        for control in self.program.controls.values():
            for action in control.actions:
                assert action.decl is not None
                self._add("action", action.name, action.decl.annotations, action.loc)
            for name in _digest_names(control):
                self.symbols.add("digest", name)
            for table in control.tables:
                self._add("table", table.name, table.annotations, table.loc)
                for resource in (table.implementation, table.counter, table.meter):
                    if resource is not None and resource.in_place:
                        kind = _KINDS[resource.kind]
                        self._add(kind, resource.name, resource.annotations, resource.loc)
        for header in self._controller_decls():
            self._add("controller_header", header.external_name, header.annotations, header.loc)

    def _all_instances(self) -> Iterator[core.Instance]:
        yield from self.program.instances
        for control in self.program.controls.values():
            yield from control.instances

    def _add(self, kind: str, name: str, annotations: Sequence[Any], loc: Loc) -> None:
        if kind:
            name = name.lstrip(".")
            self.symbols.add(kind, name, wanted_id(annotations, self.reporter), loc)

    def _preamble(
        self,
        message: Any,
        kind: str,
        name: str,
        annotations: Sequence[Any],
        skip: frozenset[str] = frozenset(),
    ) -> None:
        preamble = message.preamble
        preamble.id = self.symbols.id(kind, name)
        preamble.name = name
        preamble.alias = self.symbols.alias(name)
        add_annotations(preamble, annotations, skip)
        add_documentation(preamble, annotations)

    # --- actions ---

    def _actions(self, control: core.Control) -> None:
        for action in control.actions:
            decl = action.decl
            assert decl is not None
            number = self.symbols.id("action", action.name)
            if is_hidden(decl.annotations) or any(
                a.preamble.id == number for a in self.info.actions
            ):
                continue
            made = self.info.actions.add()
            self._preamble(made, "action", action.name, decl.annotations)
            declared = {p.external_name: p for p in decl.params}
            ids = field_ids(
                [wanted_id(p.annotations, self.reporter) for p in action.params],
                [p.loc for p in action.params],
                self.reporter,
            )
            for var, param_id in zip(action.params, ids, strict=True):
                self._param(made.params.add(), param_id, declared[var.name])

    def _param(self, made: Any, number: int, param: ir.Param) -> None:
        made.id = number
        made.name = param.external_name
        add_annotations(made, param.annotations)
        add_documentation(made, param.annotations)
        t = param.type
        if not isinstance(t, (BitsType, BoolType, NewType, EnumType)):
            self.reporter.error(
                "type-error",
                f"action parameter '{param.name}' has a type that is not bit<>, int<>, bool, type"
                " or enum",
                param.loc,
            )
            return
        plain_enum = isinstance(t, EnumType) and t.repr is None
        if not plain_enum:
            made.bitwidth = wire_width(t)
        self.types.touch()
        self.types.note(t)
        name = type_name(t)
        if name is None and plain_enum:
            assert isinstance(t, EnumType)
            name = t.decl.external_name
        if name is not None:
            made.type_name.name = name

    def _digests(self, control: core.Control) -> None:
        for name in _digest_names(control):
            self.types.touch()
            number = self.symbols.id("digest", name)
            if any(d.preamble.id == number for d in self.info.digests):
                continue
            made = self.info.digests.add()
            self._preamble(made, "digest", name, ())
            t = self.digest_types.get(name)
            if t is not None:
                self.types.fill(made.type_spec, t)

    # --- tables ---

    def _table(self, table: core.Table) -> None:
        if is_hidden(table.annotations) or table.default is None:
            return
        self.types.touch()
        made = self.info.tables.add()
        self._preamble(made, "table", table.name, table.annotations)
        made.size = table.size or DEFAULT_SIZE
        self._default(made, table)
        for ref in table.actions:
            self._action_ref(made.action_refs.add(), ref, table)
        self._keys(made, table)
        made.is_const_table = table.has_entries and table.entries_const
        made.has_initial_entries = bool(table.entries)
        self._resources(made, table)
        behaviours = self.pb.Table.IdleTimeoutBehavior
        made.idle_timeout_behavior = (
            behaviours.NOTIFY_CONTROL if table.timeout else behaviours.NO_TIMEOUT
        )

    def _default(self, made: Any, table: core.Table) -> None:
        action = table.default
        assert action is not None and action.decl is not None
        number = self.symbols.id("action", action.name)
        if table.default_const:
            made.const_default_action_id = number
        made.initial_default_action.action_id = number
        params = [p for p in action.decl.params if not p.direction]
        for i, (value, param) in enumerate(zip(table.default_args, params, strict=False)):
            argument = made.initial_default_action.arguments.add()
            argument.param_id = wanted_id(param.annotations, self.reporter) or i + 1
            argument.value = value_bytes(value, param.type)

    def _action_ref(self, made: Any, ref: core.ActionRef, table: core.Table) -> None:
        made.id = self.symbols.id("action", ref.action.name)
        add_annotations(made, ref.annotations)
        only_table = annotation(ref.annotations, "tableonly") is not None
        only_default = annotation(ref.annotations, "defaultonly") is not None
        if only_table and only_default:
            self.reporter.error(
                "invalid",
                f"action '{ref.action.name}' of table '{table.name}' has both @tableonly and"
                " @defaultonly",
                table.loc,
            )
        if only_table:
            made.scope = self.pb.ActionRef.TABLE_ONLY
        elif only_default:
            made.scope = self.pb.ActionRef.DEFAULT_ONLY

    def _keys(self, made: Any, table: core.Table) -> None:
        ids = field_ids(
            [wanted_id(k.annotations, self.reporter) for k in table.keys],
            [k.loc for k in table.keys],
            self.reporter,
        )
        for key, number in zip(table.keys, ids, strict=True):
            if key.match == "selector":
                continue
            field = made.match_fields.add()
            field.id = number
            field.name = key.name
            add_annotations(field, key.annotations)
            add_documentation(field, key.annotations)
            field.bitwidth = 0 if isinstance(key.type, ErrorType) else wire_width(key.type)
            field.match_type = self.pb.MatchField.MatchType.Value(key.match.upper())
            self.types.note(key.type)
            name = type_name(key.type)
            if name is not None:
                field.type_name.name = name

    def _resources(self, made: Any, table: core.Table) -> None:
        profile = table.implementation
        if profile is not None:
            made.implementation_id = self.symbols.id("action_profile", profile.name)
            if profile.in_place:
                self._profile(profile)
        for direct, add in (
            (table.counter, self._direct_counter),
            (table.meter, self._direct_meter),
        ):
            if direct is not None:
                made.direct_resource_ids.append(self.symbols.id(_KINDS[direct.kind], direct.name))
                add(direct, made.preamble.id)

    # --- extern objects ---

    def _instance(self, instance: core.Instance) -> None:
        self.types.touch()
        if instance.kind == "counter":
            made = self.info.counters.add()
            self._preamble(made, "counter", instance.name, instance.annotations)
            self._unit(made, instance, self.pb.CounterSpec)
            made.size = instance.args["size"]
        elif instance.kind == "meter":
            made = self.info.meters.add()
            self._preamble(made, "meter", instance.name, instance.annotations)
            self._unit(made, instance, self.pb.MeterSpec)
            made.size = instance.args["size"]
        elif instance.kind == "register":
            made = self.info.registers.add()
            self._preamble(made, "register", instance.name, instance.annotations)
            self.types.fill(made.type_spec, instance.type_args[0])
            made.size = instance.args["size"]
        elif instance.kind in _PROFILES:
            self._profile(instance)

    @staticmethod
    def _unit(made: Any, instance: core.Instance, spec: Any) -> None:
        unit = _UNITS.get(str(instance.args.get("type")))
        made.spec.SetInParent()
        if unit is not None:
            made.spec.unit = spec.Unit.Value(unit)

    def _direct_counter(self, instance: core.Instance, table_id: int) -> None:
        made = self.info.direct_counters.add()
        self._preamble(made, "direct_counter", instance.name, instance.annotations)
        self._unit(made, instance, self.pb.CounterSpec)
        made.direct_table_id = table_id

    def _direct_meter(self, instance: core.Instance, table_id: int) -> None:
        made = self.info.direct_meters.add()
        self._preamble(made, "direct_meter", instance.name, instance.annotations)
        self._unit(made, instance, self.pb.MeterSpec)
        made.direct_table_id = table_id

    def _profile(self, instance: core.Instance) -> None:
        made = self.info.action_profiles.add()
        self._preamble(made, "action_profile", instance.name, instance.annotations, _PROFILE_OWN)
        made.with_selector = instance.kind == "action_selector"
        made.size = instance.args["size"]
        tables = sorted(
            t.name
            for c in self.program.controls.values()
            for t in c.tables
            if t.implementation is instance
        )
        made.table_ids.extend(self.symbols.id("table", name) for name in tables)
        if made.with_selector:
            self._selector(made, instance)
            return
        for name in sorted(_PROFILE_OWN):
            if annotation(instance.annotations, name) is not None:
                self.reporter.warning(
                    "ignored",
                    f"@{name} on action profile '{instance.name}', which has no selector",
                    instance.loc,
                )

    def _selector(self, made: Any, instance: core.Instance) -> None:
        size = number_of(annotation(instance.annotations, "max_group_size"))
        if size is not None:
            made.max_group_size = size
        semantics = text_of(annotation(instance.annotations, "selector_size_semantics"))
        if semantics is not None:
            if semantics.lower() == "sum_of_weights":
                made.sum_of_weights.SetInParent()
            elif semantics.lower() == "sum_of_members":
                made.sum_of_members.SetInParent()
            else:
                self.reporter.error(
                    "invalid",
                    'selector_size_semantics must be "sum_of_weights" or "sum_of_members",'
                    f" not '{semantics}'",
                    instance.loc,
                )
        weight = number_of(annotation(instance.annotations, "max_member_weight"))
        if weight is not None and made.HasField("sum_of_members"):
            made.sum_of_members.max_member_weight = weight

    # --- value sets and controller headers ---

    def _value_sets(self) -> None:
        for value_set in self.program.parser.value_sets:
            made = self.info.value_sets.add()
            self._preamble(made, "value_set", value_set.name, value_set.annotations)
            made.size = value_set.size
            t = value_set.type
            if isinstance(t, StructType):
                self._value_set_fields(made, t)
            elif isinstance(t, EnumType) and t.repr is not None:
                for i, member in enumerate(t.decl.members):
                    match = made.match.add()
                    match.id = i + 1
                    match.name = member.external_name
                    match.bitwidth = wire_width(t)
                    match.match_type = self.pb.MatchField.EXACT
            elif isinstance(t, BitsType):
                match = made.match.add()
                match.id = 1
                match.bitwidth = t.width
                match.match_type = self.pb.MatchField.EXACT
            else:
                self.reporter.error(
                    "unsupported",
                    "a value set must be of bit<W>, a struct of bit<W> or a serializable enum",
                    value_set.loc,
                )

    def _value_set_fields(self, made: Any, t: StructType) -> None:
        fields = t.decl.fields
        ids = field_ids(
            [wanted_id(f.annotations, self.reporter) for f in fields],
            [f.loc for f in fields],
            self.reporter,
        )
        for f, number in zip(fields, ids, strict=True):
            match = made.match.add()
            match.id = number
            match.name = f.external_name
            if not isinstance(t.fields[f.name], BitsType):
                self.reporter.error(
                    "unsupported", f"field '{f.name}' of a value set's struct must be bit<W>", f.loc
                )
            match.bitwidth = wire_width(t.fields[f.name])
            kind = annotation(f.annotations, "match")
            name = getattr(kind.exprs[0], "name", "exact") if kind and kind.exprs else "exact"
            match.match_type = self.pb.MatchField.MatchType.Value(name.upper())
            add_annotations(match, f.annotations, frozenset({"match"}))
            add_documentation(match, f.annotations)

    def _controller_decls(self) -> Iterator[ir.StructDecl]:
        for decl in self.elaborated.source.decls:
            header = isinstance(decl, ir.StructDecl) and decl.kind == "header"
            if header and annotation(decl.annotations, "controller_header") is not None:
                assert isinstance(decl, ir.StructDecl)
                yield decl

    def _controller_headers(self) -> None:
        for decl in self._controller_decls():
            if is_hidden(decl.annotations) or not isinstance(decl.type, StructType):
                continue
            made = self.info.controller_packet_metadata.add()
            name = text_of(annotation(decl.annotations, "controller_header")) or decl.name
            made.preamble.id = self.symbols.id("controller_header", decl.external_name.lstrip("."))
            made.preamble.name = made.preamble.alias = name
            add_annotations(made.preamble, decl.annotations)
            add_documentation(made.preamble, decl.annotations)
            self._packet_metadata(made, decl, decl.type)

    def _packet_metadata(self, made: Any, decl: ir.StructDecl, t: StructType) -> None:
        fields = flat_fields(t)
        own = {f.name: f for f in decl.fields}
        declared = [own.get(name.partition(".")[0]) for name, _ in fields]
        notes = [f.annotations if f is not None else [] for f in declared]
        ids = field_ids(
            [wanted_id(n, self.reporter) for n in notes],
            [f.loc if f is not None else decl.loc for f in declared],
            self.reporter,
        )
        for (name, field_type), number, note in zip(fields, ids, notes, strict=True):
            if is_hidden(note):
                continue
            metadata = made.metadata.add()
            metadata.id = number
            metadata.name = name
            add_annotations(metadata, note)
            metadata.bitwidth = wire_width(field_type)
            self.types.touch()
            self.types.note(field_type)
            named = type_name(field_type)
            if named is not None:
                metadata.type_name.name = named

    # --- package ---

    def _package(self) -> None:
        package = self.info.pkg_info
        package.arch = "v1model"
        main = self.elaborated.source.main
        if main is None:
            return
        own = annotation(main.annotations, "pkginfo")
        for pair in own.pairs if own is not None else ():
            if pair.name in _PKG_FIELDS and isinstance(pair.expr, ir.StringLit):
                setattr(package, pair.name, pair.expr.text)
            else:
                self.reporter.warning(
                    "unknown",
                    f"unknown key or value '{pair.name}' in @pkginfo",
                    own.loc if own else main.loc,
                )
        platform = annotation(main.annotations, "platform_property")
        for pair in platform.pairs if platform is not None else ():
            if pair.name in _PLATFORM_FIELDS and isinstance(pair.expr, ir.IntLit):
                setattr(package.platform_properties, pair.name, pair.expr.number)
            else:
                self.reporter.warning(
                    "unknown", f"unknown key or value '{pair.name}' in @platform_property", main.loc
                )
        skip = ("pkginfo", "platform_property")
        rest = [a for a in main.annotations if a.name not in skip]
        add_annotations(package, rest)
        add_documentation(package, main.annotations)


def _statements(control: core.Control) -> Iterator[core.Stmt]:
    """All statements of a control: those of its actions first."""
    for action in control.actions:
        yield from access.walk(action.body)
    yield from access.walk(control.body)


def _is_function(s: core.Extern) -> bool:
    return s.instance is None and s.op != "emit"


def _digest_names(control: core.Control) -> list[str]:
    """The digests of a control, in order."""
    return [
        s.args[1] for s in _statements(control) if isinstance(s, core.Extern) and s.op == "digest"
    ]
