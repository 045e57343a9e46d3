"""Messages drawn from a P4Info: valid, nearly valid, and garbage of the right type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from finsy.proto import p4i, p4r
from hypothesis import strategies as st

from .builder import octets


def values(width: int) -> st.SearchStrategy[int]:
    """Values of bit<width>, with its edges."""
    top = (1 << width) - 1
    return st.one_of(st.sampled_from([0, 1, top, top - 1 if top > 1 else 0]), st.integers(0, top))


@st.composite
def matches(draw: st.DrawFn, field: Any) -> p4r.FieldMatch | None:
    """A valid match of one field, or None for don't care."""
    match = p4r.FieldMatch(field_id=field.id)
    width, top = field.bitwidth, (1 << field.bitwidth) - 1
    value = draw(values(width))
    if field.match_type == p4i.MatchField.EXACT:
        match.exact.value = octets(value)
        return match
    if draw(st.booleans()):
        return None
    if field.match_type == p4i.MatchField.LPM:
        length = draw(st.integers(1, width))
        mask = top ^ (top >> length)
        match.lpm.value, match.lpm.prefix_len = octets(value & mask), length
    elif field.match_type == p4i.MatchField.TERNARY:
        mask = draw(values(width)) or top
        match.ternary.value, match.ternary.mask = octets(value & mask), octets(mask)
    elif field.match_type == p4i.MatchField.RANGE:
        low, high = sorted((value, draw(values(width))))
        if (low, high) == (0, top):
            return None
        match.range.low, match.range.high = octets(low), octets(high)
    else:
        match.optional.value = octets(value)
    return match


@st.composite
def actions(draw: st.DrawFn, info: p4i.P4Info, table: Any) -> p4r.Action:
    """A valid action for an entry of a table."""
    refs = [r.id for r in table.action_refs if r.scope != p4i.ActionRef.DEFAULT_ONLY]
    action_id = draw(st.sampled_from(refs))
    action = next(a for a in info.actions if a.preamble.id == action_id)
    message = p4r.Action(action_id=action_id)
    for param in action.params:
        message.params.add(param_id=param.id, value=octets(draw(values(param.bitwidth))))
    return message


@st.composite
def table_entries(draw: st.DrawFn, program: Callable[[], Any]) -> p4r.TableEntry:
    """A valid entry of any table; action profiles are referred to by small ids."""
    info = program().info
    table = draw(st.sampled_from(list(info.tables)))
    entry = p4r.TableEntry(table_id=table.preamble.id)
    for field in table.match_fields:
        match = draw(matches(field))
        if match is not None:
            entry.match.append(match)
    kinds = {field.match_type for field in table.match_fields}
    if kinds - {p4i.MatchField.EXACT, p4i.MatchField.LPM}:
        entry.priority = draw(st.integers(1, 2**31 - 1))
    if table.implementation_id:
        entry.action.action_profile_member_id = draw(st.integers(1, 3))
    else:
        entry.action.action.CopyFrom(draw(actions(info, table)))
    if draw(st.booleans()):
        entry.metadata = draw(st.binary(max_size=40))
        entry.controller_metadata = draw(st.integers(0, 2**64 - 1))
    if table.idle_timeout_behavior:
        entry.idle_timeout_ns = draw(st.integers(0, 2**63 - 1))
    return entry


def scalars(field: Any) -> st.SearchStrategy[Any]:
    """Any value of a scalar field."""
    if field.cpp_type == field.CPPTYPE_STRING:
        return st.binary(max_size=12) if field.type == field.TYPE_BYTES else st.text(max_size=8)
    if field.cpp_type == field.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type == field.CPPTYPE_ENUM:
        return st.sampled_from([value.number for value in field.enum_type.values])
    bits = 64 if field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64) else 32
    if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64):
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1)
    return st.integers(0, (1 << bits) - 1)


def _mutate(draw: st.DrawFn, message: Any, depth: int) -> None:
    """Change one thing somewhere in a message: drop, repeat, replace, or go deeper."""
    deeper = [
        child
        for field, value in message.ListFields()
        if field.message_type is not None and depth
        for child in children(field, value)
    ]
    if deeper and draw(st.booleans()):
        _mutate(draw, draw(st.sampled_from(deeper)), depth - 1)
        return
    field = draw(st.sampled_from(list(message.DESCRIPTOR.fields)))
    change = draw(st.sampled_from(["clear", "set", "repeat"]))
    value = getattr(message, field.name)
    if change == "clear" or is_map(field):
        message.ClearField(field.name)
    elif repeated(field) and field.message_type is not None:
        if len(value) and change == "repeat":
            value.add().CopyFrom(draw(st.sampled_from(list(value))))
        else:
            value.add()
    elif field.message_type is not None:
        value.SetInParent()
    elif repeated(field):
        value.append(draw(scalars(field)))
    else:
        setattr(message, field.name, draw(scalars(field)))


def children(field: Any, value: Any) -> list[Any]:
    """The messages in a field that is set."""
    if is_map(field):
        return [item for item in value.values() if hasattr(item, "DESCRIPTOR")]
    return list(value) if repeated(field) else [value]


def is_map(field: Any) -> bool:
    """Whether a protobuf field is a map."""
    return field.message_type is not None and bool(field.message_type.GetOptions().map_entry)


def repeated(field: Any) -> bool:
    """Whether a protobuf field is repeated."""
    return bool(getattr(field, "is_repeated", False))


@st.composite
def near_messages(draw: st.DrawFn, valid: st.SearchStrategy[Any]) -> Any:
    """A valid message with a few things wrong."""
    message = type(sample := draw(valid))()
    message.CopyFrom(sample)
    for _ in range(draw(st.integers(1, 3))):
        _mutate(draw, message, 5)
    return message


@st.composite
def garbage(draw: st.DrawFn, kind: type) -> Any:
    """A message of a type whose fields are anything."""
    message = kind()
    for _ in range(draw(st.integers(0, 12))):
        _mutate(draw, message, 6)
    return message
