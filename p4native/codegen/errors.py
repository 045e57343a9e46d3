"""What code generation can refuse."""

from __future__ import annotations


class CodegenError(ValueError):
    """The program uses something that cannot be generated; `where` names the object."""

    def __init__(self, where: str, message: str) -> None:
        super().__init__(f"{where}: {message}")
        self.where = where
        self.message = message
