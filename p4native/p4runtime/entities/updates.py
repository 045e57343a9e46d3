"""Which types of update an entity takes."""

from __future__ import annotations

from finsy.proto import p4r

from p4native.p4runtime.errors import invalid_argument


def only_modify(what: str, kind: int) -> None:
    """Refuse INSERT and DELETE of entities that always exist."""
    if kind != p4r.Update.MODIFY:
        raise invalid_argument(f"{what} can only be modified")


def known_type(what: str, kind: int) -> None:
    """Refuse an update whose type is not set."""
    if kind not in (p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE):
        raise invalid_argument(f"{what}: update type {kind}, expected INSERT, MODIFY or DELETE")
