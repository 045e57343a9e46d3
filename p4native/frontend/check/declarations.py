"""Type checking of top-level declarations, in order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4native.frontend import ir
from p4native.frontend.check.annotations import check_annotations
from p4native.frontend.check.blocks import check_block_type, check_control, check_parser
from p4native.frontend.check.callables import (
    check_action,
    check_extern,
    check_function,
    check_prototype,
)
from p4native.frontend.check.constructors import check_instance
from p4native.frontend.check.context import Context
from p4native.frontend.check.statements import check_constant
from p4native.frontend.check.structs import (
    check_enum,
    check_new_type,
    check_struct_decl,
    check_typedef,
)
from p4native.frontend.types import ERROR, MATCH_KIND, UNKNOWN, ArchBlockType, Type


def check_declarations(ctx: Context) -> None:
    """Check the whole program."""
    _collect_members(ctx)
    for decl in ctx.program.decls:
        check_annotations(ctx, decl.annotations)
        if decl.name == "main" and isinstance(decl, ir.ExternDecl):
            ctx.error("invalid", "'main' must be a package instance", decl.loc)
        if _BEFORE.get(type(decl)):
            ctx.declare(decl)
        with ctx.reporter.mute(ir.no_warn(decl.annotations)):
            _CHECKS[type(decl)](ctx, decl)
        if not _BEFORE.get(type(decl)) and not isinstance(decl, (ir.ErrorDecl, ir.MatchKindDecl)):
            ctx.declare(decl)


def _collect_members(ctx: Context) -> None:
    """Errors and match kinds are one enumeration each, over all their declarations."""
    program = ctx.program
    for decl in program.decls:
        if isinstance(decl, ir.ErrorDecl):
            _members(ctx, decl.members, program.errors, ERROR)
        elif isinstance(decl, ir.MatchKindDecl):
            _members(ctx, decl.members, program.match_kinds, MATCH_KIND)


def _members(
    ctx: Context, members: list[ir.EnumMember], into: dict[str, ir.EnumMember], t: Type
) -> None:
    for member in members:
        member.type = t
        member.index = len(into)
        earlier = into.setdefault(member.name, member)
        if earlier is not member:
            ctx.duplicate(member, earlier)


def _nothing(_ctx: Context, _decl: ir.ErrorDecl) -> None:
    pass


def _match_kinds(ctx: Context, decl: ir.MatchKindDecl) -> None:
    for member in decl.members:
        ctx.match_kinds.setdefault(member.name, member)


_V1MODEL_VERSIONS = (20180101, 20200408)


def _instance(ctx: Context, decl: ir.InstanceDecl) -> None:
    check_instance(ctx, decl)
    if decl.name == "main":
        ctx.program.main = decl
        t = decl.type
        if t is not UNKNOWN and not (
            isinstance(t, ArchBlockType) and isinstance(t.decl, ir.PackageTypeDecl)
        ):
            ctx.error("expected", f"'main' must be a package, not '{t}'", decl.loc)


def _constant(ctx: Context, decl: ir.ConstDecl) -> None:
    check_constant(ctx, decl)
    version = decl.init.value
    if decl.name == "__v1model_version" and isinstance(version, int):
        first, latest = _V1MODEL_VERSIONS
        if not first <= version <= latest:
            ctx.error(
                "unknown",
                f"V1MODEL_VERSION {version} is not known; it goes from {first} to {latest}",
                decl.loc,
            )


_CHECKS: dict[type, Callable[[Context, Any], None]] = {
    ir.ErrorDecl: _nothing,
    ir.MatchKindDecl: _match_kinds,
    ir.ConstDecl: _constant,
    ir.TypedefDecl: check_typedef,
    ir.NewTypeDecl: check_new_type,
    ir.EnumDecl: check_enum,
    ir.StructDecl: check_struct_decl,
    ir.ExternDecl: check_extern,
    ir.Method: check_prototype,
    ir.FunctionDecl: check_function,
    ir.ActionDecl: check_action,
    ir.ParserTypeDecl: check_block_type,
    ir.ControlTypeDecl: check_block_type,
    ir.PackageTypeDecl: check_block_type,
    ir.ParserDecl: check_parser,
    ir.ControlDecl: check_control,
    ir.InstanceDecl: _instance,
}

# Declarations whose own name is known inside them.
_BEFORE = {ir.ExternDecl: True, ir.ParserDecl: True, ir.ControlDecl: True}
