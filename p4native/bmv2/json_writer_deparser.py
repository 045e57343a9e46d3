"""Deparser and checksum controls."""

from __future__ import annotations

from p4native.bmv2.json_writer_context import Context, Json
from p4native.bmv2.json_writer_exprs import ExprWriter
from p4native.bmv2.json_writer_externs import ExternWriter
from p4native.midend import core


def write_deparser(context: Context, exprs: ExprWriter, json: Json) -> None:
    """Fill in `deparsers`."""
    control = context.program.controls["deparser"]
    externs = ExternWriter(context, exprs)
    externs.block = "deparser"
    order: list[str] = []
    primitives: list[Json] = []
    for s in _flat(control.body):
        if isinstance(s, core.Extern) and s.op == "emit":
            order.append(s.args[0].name)
        elif isinstance(s, core.Extern):
            made = externs.primitive(s)
            if made is not None:
                primitives.append(made)
        elif isinstance(s, core.Assign) and isinstance(s.value, core.Const):
            value = [exprs.target(s.target), exprs.argument(s.value)]
            primitives.append({"op": "assign", "parameters": value})
        else:  # not setValid either: BMv2 has made room for the headers before
            context.error("this is not supported within a deparser on this target", s.loc)
    json["deparsers"].append(
        {
            "name": "deparser",
            "id": context.next_id("deparser"),
            **context.source_info(control.loc),
            "order": order,
            "primitives": primitives,
        }
    )


def _flat(body: list[core.Stmt]) -> list[core.Stmt]:
    out: list[core.Stmt] = []
    for s in body:
        if isinstance(s, core.Block):
            out.extend(_flat(s.body))
        elif isinstance(s, (core.Leave, core.Exit)):
            break
        else:
            out.append(s)
    return out


def write_checksums(context: Context, exprs: ExprWriter, json: Json) -> None:
    """Fill in `checksums`: updates first, then verifications."""
    for name, verify in (("compute", False), ("verify", True)):
        control = context.program.controls[name]
        prefix = "verify_checksum" if verify else "update_checksum"
        externs = ExternWriter(context, exprs)
        externs.block = name
        for s in _flat(control.body):
            if isinstance(s, core.Extern) and s.op.removesuffix("_with_payload") == prefix:
                _checksum(context, exprs, externs, s, verify, json)
            else:
                context.error(
                    f"only calls of {prefix} and {prefix}_with_payload are allowed here", s.loc
                )


def _checksum(
    context: Context,
    exprs: ExprWriter,
    externs: ExternWriter,
    s: core.Extern,
    verify: bool,
    json: Json,
) -> None:
    condition, data, target, algorithm = s.args
    for item in data:
        computed = isinstance(item, core.Expr) and not isinstance(item, core.Const)
        if computed and exprs.plain(item) is None:
            context.error(f"computations are not supported in {s.op}", s.loc)
            return
    place = exprs.plain(target)
    if place is None:
        context.error(f"the checksum of {s.op} must be a field", s.loc)
        return
    calculation = externs.calculation(algorithm, data, s, s.op.endswith("_with_payload"))
    json["checksums"].append(
        {
            "name": context.program.fresh("cksum"),
            "id": context.next_id("checksums"),
            **context.source_info(s.loc),
            "target": place["value"],
            "type": "generic",
            "calculation": calculation,
            "verify": verify,
            "update": not verify,
            "if_cond": exprs.condition(condition),
        }
    )
