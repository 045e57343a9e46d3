"""What the controller does because a known P4Runtime server does not do as the specification says.

BMv2 (PI): a table entry written without ``meter_config`` keeps whatever its meter cell held before,
that of a deleted entry whose handle it got included. The specification wants the default.

BMv2 (PI): an entry for which its table has no room is refused with UNKNOWN, as is any other that
the switch below PI does not take; the specification wants RESOURCE_EXHAUSTED. PI itself has found
everything else that can be wrong with an entry by then.

BMv2 tells how long ago an entry was hit in whole milliseconds and never more than its idle timeout,
and what it tells in an entry's first seconds (four were seen) may be seconds too much.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from finsy.proto import p4r, rpc_code

AGE_STEP_S = 0.002
"""By how much an age that is told may be too small."""
FRESH_S = 5.0
"""How old an entry must be for its age to be believed."""
_NO_ROOM = "Error when adding match entry to target"


def refusal(error: p4r.Error) -> str:
    """Name of the code with which a server refused an update, as the specification has it."""
    full = error.canonical_code == rpc_code.UNKNOWN and error.message == _NO_ROOM
    name: str = rpc_code.Code.Name(rpc_code.RESOURCE_EXHAUSTED if full else error.canonical_code)
    return name


def reset_meters(updates: Iterable[p4r.Update], metered: frozenset[int]) -> Sequence[p4r.Update]:
    """Follow each entry without a rate, in the ``metered`` tables, by a reset of its meter."""
    settled = []
    for update in updates:
        settled.append(update)
        entry = update.entity.table_entry
        if (
            entry.table_id in metered
            and update.type != p4r.Update.DELETE
            and not entry.HasField("meter_config")
        ):
            settled.append(_reset(entry))
    return settled


def _reset(entry: p4r.TableEntry) -> p4r.Update:
    """The update that puts an entry's direct meter back to passing everything."""
    reset = p4r.Update(type=p4r.Update.MODIFY)
    target = reset.entity.direct_meter_entry.table_entry
    target.table_id = entry.table_id
    target.match.extend(entry.match)
    target.priority = entry.priority
    target.is_default_action = entry.is_default_action
    return reset
