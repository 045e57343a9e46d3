"""How elaboration gives up on a construct."""

from __future__ import annotations

from p4native.frontend.diagnostics import Loc


class TooLarge(Exception):
    """Inlining makes more code than anybody wants; ends elaboration."""

    def __init__(self, loc: Loc) -> None:
        super().__init__(f"{loc}")
        self.loc = loc


class Unsupported(Exception):
    """A located reason why the target cannot run the program; becomes an error diagnostic."""

    def __init__(self, message: str, loc: Loc, category: str = "unsupported") -> None:
        super().__init__(message)
        self.message = message
        self.loc = loc
        self.category = category
