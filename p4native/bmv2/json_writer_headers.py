"""Header types and instances, stacks, unions, field aliases, errors and enums in BMv2 JSON."""

from __future__ import annotations

from p4native.bmv2.json_writer_context import Context, Json
from p4native.frontend.types import BitsType, VarbitType
from p4native.midend import core
from p4native.midend.layout import SCALARS


def write_headers(context: Context, json: Json) -> None:
    """Fill in everything about storage."""
    program = context.program
    _types(context, json)
    ids: dict[core.Header, int] = {}
    _metadata_instances(context, json)
    for header in program.headers:
        ids[header] = context.next_id("headers")
        json["headers"].append(
            _instance(header.name, ids[header], header.type.name, metadata=False)
        )
    unions = _unions(context, json, ids)
    _stacks(context, json, ids, unions)
    if program.standard is not None:
        for name, alias in program.standard.aliases.items():
            json["field_aliases"].append([alias, ["standard_metadata", name]])
    json["errors"] = [[name, i] for i, name in enumerate(program.errors)]
    json["enums"] = [
        {"name": name, "entries": [[m, v] for m, v in members]} for name, members in program.enums
    ]


def _types(context: Context, json: Json) -> None:
    program = context.program
    scalars = {v.home[1]: v.type for v in program.variables if v.home and v.home[0] == SCALARS}
    _type(context, json, SCALARS, scalars, pad=True)
    assert program.standard is not None
    _type(context, json, "standard_metadata", program.standard.fields, pad=True)
    for t in program.header_types:
        if t.width % 8:
            context.error(
                f"header '{t.name}' has fields totaling {t.width} bits: this target only supports"
                " headers of a multiple of 8 bits",
                t.loc,
            )
        if sum(isinstance(f, VarbitType) for f in t.fields.values()) > 1:
            context.error(f"header '{t.name}' has more than one varbit field", t.loc)
        _type(context, json, t.name, t.fields, pad=False)
    widths = {v.type.max_width for v in program.variables if isinstance(v.type, VarbitType)}
    for width in sorted(widths):
        _type(context, json, f"$varbit{width}", {"field": VarbitType(width)}, pad=False)


def _type(
    context: Context, json: Json, name: str, fields: dict[str, core.Scalar], *, pad: bool
) -> None:
    listed: list[list[object]] = [_field(n, t) for n, t in fields.items()]
    width = sum(core.scalar_width(t) for t in fields.values())
    if pad and width % 8:
        padding = "_padding" if name == "standard_metadata" else "_padding_0"
        listed.append([padding, 8 - width % 8, False])
    made: Json = {"name": name, "id": context.next_id("header_types"), "fields": listed}
    if any(isinstance(t, VarbitType) for t in fields.values()):
        made["max_length"] = -(-width // 8)
    json["header_types"].append(made)


def _field(name: str, t: core.Scalar) -> list[object]:
    if isinstance(t, VarbitType):
        return [name, "*"]
    return [name, core.scalar_width(t), isinstance(t, BitsType) and t.signed]


def _instance(name: str, number: int, type_name: str, *, metadata: bool) -> Json:
    return {
        "name": name,
        "id": number,
        "header_type": type_name,
        "metadata": metadata,
        "pi_omit": True,
    }


def _metadata_instances(context: Context, json: Json) -> None:
    json["headers"].append(_instance(SCALARS, context.next_id("headers"), SCALARS, metadata=True))
    name = "standard_metadata"
    json["headers"].append(_instance(name, context.next_id("headers"), name, metadata=True))
    for var in context.program.variables:
        if isinstance(var.type, VarbitType):
            kind = f"$varbit{var.type.max_width}"
            number = context.next_id("headers")
            json["headers"].append(_instance(var.name, number, kind, metadata=True))


def _unions(context: Context, json: Json, ids: dict[core.Header, int]) -> dict[core.Union, int]:
    for t in context.program.union_types:
        json["header_union_types"].append(
            {
                "name": t.name,
                "id": context.next_id("header_union_types"),
                "headers": [[n, h.name] for n, h in t.members.items()],
            }
        )
    found: dict[core.Union, int] = {}
    for union in context.program.unions:
        found[union] = context.next_id("header_unions")
        json["header_unions"].append(
            {
                "name": union.name,
                "id": found[union],
                "union_type": union.type.name,
                "header_ids": [ids[h] for h in union.members.values()],
                "pi_omit": True,
            }
        )
    return found


def _stacks(
    context: Context, json: Json, ids: dict[core.Header, int], unions: dict[core.Union, int]
) -> None:
    for stack in context.program.stacks:
        first = stack.elements[0]
        made: Json = {"name": stack.name}
        if isinstance(first, core.Union):
            made["id"] = context.next_id("union_stack")
            made["union_type"] = first.type.name
            made["size"] = stack.size
            made["header_union_ids"] = [
                unions[u] for u in stack.elements if isinstance(u, core.Union)
            ]
            json["header_union_stacks"].append(made)
        else:
            made["id"] = context.next_id("stack")
            made["header_type"] = first.type.name
            made["size"] = stack.size
            made["header_ids"] = [ids[h] for h in stack.elements if isinstance(h, core.Header)]
            json["header_stacks"].append(made)
