"""The whole program: the v1model package's blocks over one set of headers and metadata."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.diagnostics import Loc, Reporter
from p4native.frontend.types import EnumType, StructType, Type, underlying
from p4native.midend import core
from p4native.midend.elaborate.assigns import Assigns
from p4native.midend.elaborate.blocks import BlockInstance, Blocks, Digest
from p4native.midend.elaborate.calls import Calls
from p4native.midend.elaborate.errors import TooLarge, Unsupported
from p4native.midend.elaborate.exprs import Exprs
from p4native.midend.elaborate.externs import Externs
from p4native.midend.elaborate.parsers import Parsers
from p4native.midend.elaborate.stmts import Stmts
from p4native.midend.elaborate.storage import scalar_type
from p4native.midend.elaborate.tables import Tables
from p4native.midend.elaborate.values import Aggregate, Packet, Value
from p4native.midend.elaborate.work import Work

# The package's parameters in order: core name and the roles of the block's own parameters.
BLOCKS = {
    "parser": ("packet", "headers", "meta", "standard"),
    "verify": ("headers", "meta"),
    "ingress": ("headers", "meta", "standard"),
    "egress": ("headers", "meta", "standard"),
    "compute": ("headers", "meta"),
    "deparser": ("packet", "headers"),
}


class Elaborated:
    """A core program together with what P4Info needs beside it."""

    def __init__(self, program: core.Program, source: ir.Program, digests: list[Digest]) -> None:
        self.program = program
        self.source = source
        self.digests = digests


def elaborate(source: ir.Program, path: str, reporter: Reporter) -> Elaborated | None:
    """The core program of a checked P4 program; None if errors were reported."""
    before = reporter.error_count
    work = _work(source, path, reporter)
    try:
        _package(work, source)
    except Unsupported as e:
        reporter.error(e.category, e.message, e.loc)
    except TooLarge as e:
        reporter.error("overlimit", "calls nest so that inlining them never ends", e.loc)
    if reporter.error_count > before:
        return None
    return Elaborated(work.program, source, work.blocks.digests)


def _work(source: ir.Program, path: str, reporter: Reporter) -> Work:
    program = core.Program(path, core.Parser("parser", [], []), {})
    program.names.update(("scalars", "standard_metadata", "start"))
    program.type_names.update(("scalars", "standard_metadata"))
    program.errors = list(source.errors)
    work = Work(program, reporter)
    work.exprs = Exprs(work)
    work.assigns = Assigns(work)
    work.calls = Calls(work)
    work.externs = Externs(work)
    work.stmts = Stmts(work)
    work.tables = Tables(work, _no_action(source))
    work.blocks = Blocks(work, source)
    program.enums = _enums(source)
    return work


def _no_action(source: ir.Program) -> ir.ActionDecl | None:
    for decl in source.decls:
        if isinstance(decl, ir.ActionDecl) and decl.name == "NoAction":
            return decl
    return None


def _enums(source: ir.Program) -> list[tuple[str, list[tuple[str, int]]]]:
    """Plain enums of the program itself, with the numbers their members are stored as."""
    found = []
    for decl in source.decls:
        if isinstance(decl, ir.EnumDecl) and decl.ref is None and isinstance(decl.type, EnumType):
            if decl.loc.file.endswith("v1model.p4"):
                continue
            found.append((decl.name, [(m.name, m.index) for m in decl.members]))
    return found


def _package(work: Work, source: ir.Program) -> None:
    main = source.main
    if main is None:
        raise Unsupported("the program has no 'main' package", Loc(work.program.source, 0, 0))
    work.block = ""
    for decl in source.decls:
        if isinstance(decl, ir.InstanceDecl) and decl is not main:
            work.blocks.instance(work.blocks.root, decl)
    blocks = _instances(work, main)
    parameters = _shared_parameters(work, blocks["parser"])
    for name, instance in blocks.items():
        work.block = name
        params = instance.decl.params
        for role, param in zip(BLOCKS[name], params, strict=True):
            instance.frame.values[param] = parameters[role]
        if name == "parser":
            assert isinstance(instance.decl, ir.ParserDecl)
            work.program.parser.loc = instance.decl.loc
            work.program.parser.states = Parsers(work).build(instance)
        else:
            _control(work, name, instance)
    _finish(work, source, blocks)


def _instances(work: Work, main: ir.InstanceDecl) -> dict[str, BlockInstance]:
    """The block instances given to the package, by core name."""
    found: dict[str, BlockInstance] = {}
    by_param: dict[str, ir.Expression] = {}
    for a in main.call.args:
        assert a.param is not None
        by_param[a.param.name] = a.expr
    package = main.call.target
    if not isinstance(package, ir.PackageTypeDecl) or len(package.params) != len(BLOCKS):
        raise Unsupported("only v1model's V1Switch package is supported", main.loc, "model")
    for name, param in zip(BLOCKS, package.params, strict=True):
        e = by_param[param.name]
        work.block = name
        found[name] = _block_argument(work, e)
        if len(found[name].decl.params) != len(BLOCKS[name]):
            raise Unsupported(
                f"'{name}' has not the parameters that V1Switch expects", e.loc, "model"
            )
    return found


def _block_argument(work: Work, e: ir.Expression) -> BlockInstance:
    if isinstance(e, ir.ConstructorCall) and isinstance(e.target, (ir.ControlDecl, ir.ParserDecl)):
        name = e.target.name
        return work.blocks.block_instance(work.blocks.root, e, name, False)
    value = work.exprs.value(work.blocks.root, e)
    if not isinstance(value, BlockInstance):
        raise Unsupported("a parser or control is expected here", e.loc, "model")
    return value


def _shared_parameters(work: Work, parser: BlockInstance) -> dict[str, Value]:
    """Storage for the headers, metadata and standard metadata that all blocks see."""
    _, headers, meta, standard = parser.decl.params
    types = [parser.frame.type(p.type) for p in (headers, meta, standard)]
    return {
        "packet": Packet(),
        "headers": _headers(work, types[0], headers),
        "meta": _metadata(work, types[1], meta),
        "standard": _standard(work, types[2]),
    }


def _headers(work: Work, t: Type, param: ir.Param) -> Value:
    if not isinstance(t, StructType) or t.kind != "struct":
        raise Unsupported("the headers parameter must be a struct", param.loc, "expected")
    fields: dict[str, Value] = {}
    for f in t.decl.fields:
        field_type = t.fields[f.name]
        if scalar_type(field_type) is not None:
            raise Unsupported(
                f"field '{f.name}' of the headers is no header, stack or union",
                param.ref.loc,
                "expected",
            )
        fields[f.name] = work.storage.make(field_type, f.external_name.lstrip("."), "header", f.loc)
    return Aggregate(fields)


def _metadata(work: Work, t: Type, param: ir.Param) -> Value:
    if not isinstance(t, StructType) or t.kind != "struct":
        raise Unsupported("the user metadata must be a struct", param.loc, "expected")
    fields: dict[str, Value] = {}
    for f in t.decl.fields:
        name = f.external_name
        full = name[1:] if name.startswith(".") else f"userMetadata.{name}"
        fields[f.name] = work.storage.make(t.fields[f.name], full, "meta", f.loc)
        _add_to_field_lists(work, f, t.fields[f.name], fields[f.name])
    return Aggregate(fields)


def _field_list_numbers(f: ir.Field) -> list[int]:
    numbers: list[int] = []
    for a in f.annotations:
        if a.name == "field_list":
            numbers.extend(_numbers(a))
    return numbers


def _numbers(a: ir.Annotation) -> list[int]:
    """The numbers in `@field_list(...)`: literals, constants or serializable enum members."""
    found: list[int] = []
    for e in a.exprs:
        value = e.number if isinstance(e, ir.IntLit) else e.value
        number = value.number if isinstance(value, ir.EnumMember) else value
        if isinstance(number, int):
            found.append(number)
    return found


def _nested_field_lists(work: Work, t: Type, value: Value) -> None:
    """`@field_list` on fields of structs inside the metadata."""
    inner = underlying(t)
    if not isinstance(inner, StructType) or not isinstance(value, Aggregate):
        return
    for f in inner.decl.fields:
        _add_to_field_lists(work, f, inner.fields[f.name], value.fields[f.name])


def _add_to_field_lists(work: Work, f: ir.Field, t: Type, value: Value) -> None:
    for number in _field_list_numbers(f):
        items = work.externs.fields(value, f.loc, whole_headers=False)
        work.program.field_lists.setdefault(number, []).extend(items)
    _nested_field_lists(work, t, value)


def _standard(work: Work, t: Type) -> Value:
    assert isinstance(t, StructType)
    layout = core.HeaderType("standard_metadata", {}, t.decl.loc)
    fields: dict[str, Value] = {}
    for f in t.decl.fields:
        scalar = scalar_type(t.fields[f.name])
        assert scalar is not None
        layout.fields[f.name] = scalar
        alias = f.annotation("alias")
        if alias is not None and alias.exprs and isinstance(alias.exprs[0], ir.StringLit):
            layout.aliases[f.name] = alias.exprs[0].text
        var = core.Var(f"standard_metadata.{f.name}", scalar, "standard", loc=f.loc)
        var.home = ("standard_metadata", f.name)
        fields[f.name] = core.VarRef(var)
        if f.name in ("egress_spec", "mcast_grp"):
            work.dropped.append(var)
    work.program.standard = layout
    return Aggregate(fields)


def _control(work: Work, name: str, instance: BlockInstance) -> None:
    decl = instance.decl
    control = core.Control(name, decl.external_name, [], decl.loc)
    work.program.controls[name] = control
    control.body = work.collect(lambda: work.blocks.control_body(instance, decl.loc))


def _finish(work: Work, source: ir.Program, blocks: dict[str, BlockInstance]) -> None:
    """List tables, actions and extern objects in the order P4Info shows them."""
    for instance, target in work.externs.meter_targets.items():
        for table in work.tables.all():
            if table.meter is instance:
                table.meter_target = target
    _check_direct(work)
    for name, control in work.program.controls.items():
        work.block = name
        control.actions.extend(work.tables.global_actions(name))
        _collect(work, blocks[name], control)
        control.actions.extend(a for a in work.tables.built(name) if a not in control.actions)
        work.program.names.update(x.name for x in (*control.actions, *control.order))
    _check_names(work)


def _check_direct(work: Work) -> None:
    """A direct counter or meter is part of one table's entries."""
    owners: dict[core.Instance, core.Table] = {}
    for table in work.tables.all():
        for direct in (table.counter, table.meter):
            if direct is None:
                continue
            owner = owners.setdefault(direct, table)
            if owner is not table:
                work.reporter.error(
                    "duplicate",
                    f"'{direct.name}' is already the {direct.kind} of table '{owner.name}'",
                    table.loc,
                    (direct.loc, "declared here"),
                )
    for meter in work.externs.meter_targets:
        if meter not in owners:
            work.reporter.error(
                "invalid",
                f"'{meter.name}' is read but no table has it as its 'meters' property",
                meter.loc,
            )


def _check_names(work: Work) -> None:
    """The control plane tells objects of one kind apart by their names only."""
    actions: dict[str, ir.ActionDecl | None] = {}
    owners: dict[str, object] = {}
    others: dict[tuple[str, str], Loc] = {}
    for control in work.program.controls.values():
        for action in control.actions:
            if action.name not in actions:
                actions[action.name] = action.decl
                owners[action.name] = action.owner
            elif actions[action.name] is not action.decl or owners[action.name] is not action.owner:
                _conflict(work, action.name, action.loc)
        for item in control.order:
            kind = item.kind if isinstance(item, core.Instance) else "table"
            if (kind, item.name) in others:
                _conflict(work, item.name, item.loc)
            others[(kind, item.name)] = item.loc


def _conflict(work: Work, name: str, loc: Loc) -> None:
    work.reporter.error("duplicate", f"conflicting control plane name: {name}", loc)


def _collect(work: Work, instance: BlockInstance, control: core.Control) -> None:
    """List what an instance declares; instances that are never applied have no part in it."""
    frame = instance.frame
    if not instance.applied:
        return
    for local in instance.decl.locals:
        value = frame.values.get(local)
        if isinstance(local, ir.ActionDecl):
            action = work.tables.known(frame, local, control.name)
            if action is not None:
                control.actions.append(action)
        elif isinstance(local, ir.TableDecl):
            table = work.tables.find(frame, local)
            if table is not None:
                control.tables.append(table)
                control.order.append(table)
        elif isinstance(value, BlockInstance):
            _collect(work, value, control)
        elif isinstance(value, core.Instance):
            control.instances.append(value)
            control.order.append(value)
    for nested in work.blocks.anonymous(frame):
        _collect(work, nested, control)
