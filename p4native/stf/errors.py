"""Errors a user of the packet-test runner can cause."""

from __future__ import annotations


class StfError(Exception):
    """A script or its program cannot be run; the message says where and what to do."""


class StfSyntaxError(StfError):
    """The script does not parse; one message per faulty line."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__("\n".join(messages))
        self.messages = messages


class TargetError(StfError):
    """The switch refused a command."""
