"""Type checking of annotations with known bodies and of structured annotations."""

from __future__ import annotations

from collections.abc import Sequence

from p4native.frontend import ir
from p4native.frontend.check.context import Context
from p4native.frontend.types import (
    UNKNOWN,
    BoolType,
    IntType,
    MatchKindType,
    StringType,
)

_STRINGS = ("name", "deprecated", "noWarn")


def check_annotations(
    ctx: Context, annotations: list[ir.Annotation], fields: Sequence[ir.Field] = ()
) -> None:
    """The annotations of one declaration; `fields`: those of the header declared before it."""
    structured: dict[str, bool] = {}
    for annotation in annotations:
        is_structured = annotation.kind in ("list", "kv")
        earlier = structured.setdefault(annotation.name, is_structured)
        repeated = annotation is not next(a for a in annotations if a.name == annotation.name)
        if repeated and (earlier or is_structured):
            ctx.error(
                "duplicate",
                f"structured annotation '@{annotation.name}' is given twice",
                annotation.loc,
            )
        if is_structured:
            _structured(ctx, annotation)
        elif annotation.name in _STRINGS:
            _string(ctx, annotation)
        elif annotation.name == "match":
            _match(ctx, annotation)
        elif annotation.name == "length":
            _length(ctx, annotation, {f.name for f in fields})
        elif annotation.name == "field_list":
            _field_list(ctx, annotation)


def _structured(ctx: Context, annotation: ir.Annotation) -> None:
    from p4native.frontend.check.expressions import check

    seen: dict[str, ir.NamedExpr] = {}
    for pair in annotation.pairs:
        if seen.setdefault(pair.name, pair) is not pair:
            ctx.error("duplicate", f"key '{pair.name}' is given twice", pair.loc)
        pair.expr = check(ctx, pair.expr)
    annotation.exprs = [check(ctx, e) for e in annotation.exprs]
    for expr in [*annotation.exprs, *(p.expr for p in annotation.pairs)]:
        if expr.type is UNKNOWN:
            continue
        if not isinstance(expr.type, (IntType, StringType, BoolType)):
            ctx.type_error(
                "a structured annotation's values must be integers, strings or booleans, not"
                f" '{expr.type}'",
                expr.loc,
            )
        elif expr.value is None:
            ctx.type_error("a structured annotation's values must be constants", expr.loc)


def _string(ctx: Context, annotation: ir.Annotation) -> None:
    from p4native.frontend.check.expressions import check

    annotation.exprs = [check(ctx, e) for e in annotation.exprs]
    for expr in annotation.exprs:
        if expr.type is not UNKNOWN and not isinstance(expr.value, str):
            ctx.error("invalid", f"@{annotation.name} needs a string", annotation.loc)


def _match(ctx: Context, annotation: ir.Annotation) -> None:
    from p4native.frontend.check.expressions import check

    annotation.exprs = [check(ctx, e) for e in annotation.exprs]
    for expr in annotation.exprs:
        if expr.type is not UNKNOWN and not isinstance(expr.type, MatchKindType):
            ctx.type_error("@match needs a match_kind", expr.loc)


def _length(ctx: Context, annotation: ir.Annotation, fields: set[str]) -> None:
    """`@length(expr)`: names are fields declared before."""
    from p4native.frontend.visitor import walk

    for expr in annotation.exprs:
        for node in walk(expr):
            if not isinstance(node, ir.Path) or node.name in fields:
                continue
            if not ctx.lookup(node.name):
                ctx.error("not-found", f"'{node.name}' is not declared", node.loc)


def _field_list(ctx: Context, annotation: ir.Annotation) -> None:
    """@field_list(N, …): the lists of metadata that survive clone, resubmit and recirculate."""
    from p4native.frontend.check.expressions import check

    annotation.exprs = [check(ctx, e) for e in annotation.exprs]
    for expr in annotation.exprs:
        known = expr.value.number if isinstance(expr.value, ir.EnumMember) else expr.value
        if not isinstance(known, int):
            ctx.error("invalid", "@field_list needs constant numbers", expr.loc)
