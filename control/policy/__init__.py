"""Policy: pure functions from the desired state to what each NIC holds."""

from control.policy.compile import compile_nic
from control.policy.entries import Entry, Group, Meter, MeterRate, NicProgram, Session
from control.policy.view import placements_of

__all__ = [
    "Entry",
    "Group",
    "Meter",
    "MeterRate",
    "NicProgram",
    "Session",
    "compile_nic",
    "placements_of",
]
