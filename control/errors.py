"""The controller's exceptions.

ControlError        anything an operator can mend; the text says how
├── RefusedError    a request that contradicts the desired state, or does not exist in it
├── NicDownError    a NIC is not connected, so that the request cannot be carried out
└── NicError        a NIC refused what it was given (full table, unknown entry, ...)
"""

from __future__ import annotations


class ControlError(Exception):
    """Base of what the controller tells an operator in one paragraph."""


class RefusedError(ControlError):
    """The request names something unknown or contradicts the desired state."""


class NicDownError(ControlError):
    """The NIC that the request concerns is not connected."""


class NicError(ControlError):
    """The NIC refused a write or a read."""
