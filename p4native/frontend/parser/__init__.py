"""Recursive-descent parser: tokens to an unresolved `ir.Program`, recovering from errors."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.diagnostics import Reporter
from p4native.frontend.lexer import Tokens
from p4native.frontend.parser.declarations import DeclarationParser

__all__ = ["parse"]


def parse(tokens: Tokens, reporter: Reporter) -> ir.Program:
    """Parse a whole program; what could be parsed is returned even after errors."""
    return DeclarationParser(tokens, reporter).program()
