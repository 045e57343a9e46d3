"""Actions: `Action` messages to JSON action id and data, and back (spec, "TableEntry")."""

from __future__ import annotations

from collections.abc import Mapping

from finsy.proto import p4r

from p4native.p4runtime.bind import BoundAction
from p4native.p4runtime.codec import canonical
from p4native.p4runtime.errors import invalid_argument


def encode_action(
    what: str, actions: Mapping[int, BoundAction], message: p4r.Action
) -> tuple[BoundAction, bytes]:
    """Return the action and its data; INVALID_ARGUMENT or OUT_OF_RANGE says what is wrong."""
    action = actions.get(message.action_id)
    if action is None:
        raise invalid_argument(f"{what}: action id 0x{message.action_id:08x} is not one of its own")
    values: dict[int, bytes] = {}
    for param in message.params:
        if param.param_id in values:
            raise invalid_argument(f"{what}: {action.name}: parameter {param.param_id} given twice")
        values[param.param_id] = param.value
    data = []
    for param in action.params:
        if param.id not in values:
            raise invalid_argument(
                f"{what}: {action.name}: parameter {param.id} ({param.name}) is missing"
            )
        value = param.value(values.pop(param.id), f"{what}: {action.name}: {param.name}")
        data.append(value.to_bytes(param.size, "big"))
    if values:
        raise invalid_argument(f"{what}: {action.name} has no parameter {min(values)}")
    return action, b"".join(data)


def decode_action(action: BoundAction, data: bytes, out: p4r.Action) -> None:
    """Fill `out` with canonical parameter values."""
    out.action_id = action.id
    for param in action.params:
        value = data[param.offset : param.offset + param.size]
        out.params.add(param_id=param.id, value=param.shown(value))


def canonical_action(action: BoundAction, message: p4r.Action) -> None:
    """Put the parameter values of a message that was accepted into canonical form."""
    params = {param.id: param for param in action.params}
    for given in message.params:
        if params[given.param_id].names is None:
            given.value = canonical(given.value)
