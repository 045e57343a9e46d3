"""The lab's own exception: a problem to tell the user in one paragraph."""

from __future__ import annotations

from control.errors import ControlError


class LabError(ControlError):
    """Something the user can mend; the text says what was given, expected, and what to do."""
