"""Elaboration: the checked P4 program is partially evaluated into a core program.

Every parser and control is instantiated from `main`, constructor parameters become constants,
calls are inlined with P4's copy-in/copy-out, structures are taken apart into scalars and headers,
expressions are made free of side effects in P4's left-to-right order.
"""

from p4native.midend.elaborate.program import elaborate

__all__ = ["elaborate"]
