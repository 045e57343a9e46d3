"""Generic traversal, in-place transformation and cloning of the tree.

`Visitor` and `Transformer` dispatch on the class name: define `visit_Call(self, node)`. For a
class without its own method the nearest base class's is taken (`visit_Expression`,
`visit_Statement`), else the children are walked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from p4native.frontend import ir
from p4native.frontend.types import ActionRunType, TableResultType, TableType

N = TypeVar("N", bound=ir.Node)

_SLOTS: dict[type, tuple[str, ...]] = {}


def slots_of(cls: type) -> tuple[str, ...]:
    """All slot names of a node class, bases included."""
    found = _SLOTS.get(cls)
    if found is None:
        names: list[str] = []
        for base in reversed(cls.__mro__):
            names.extend(getattr(base, "__slots__", ()))
        found = _SLOTS[cls] = tuple(names)
    return found


def children(node: ir.Node) -> Iterator[ir.Node]:
    """The direct children, in source order."""
    for name in node.CHILDREN:
        child = getattr(node, name)
        if child is None:
            continue
        if isinstance(child, list):
            yield from child
        else:
            yield child


def walk(node: ir.Node) -> Iterator[ir.Node]:
    """The node and all its descendants, parents first, in source order."""
    stack = [node]
    while stack:
        current = stack.pop()
        yield current
        below = list(children(current))
        below.reverse()
        stack.extend(below)


class Visitor:
    """Read-only traversal; a `visit_X` method that wants its children visited calls `generic`."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._handlers = {}

    _handlers: dict[type, Callable[..., Any] | None] = {}

    def visit(self, node: ir.Node) -> Any:
        """Dispatch to the method for the node's class."""
        cls = type(node)
        try:
            handler = self._handlers[cls]
        except KeyError:
            handler = self._handlers[cls] = _find_handler(type(self), cls)
        if handler is None:
            return self.generic(node)
        return handler(self, node)

    def generic(self, node: ir.Node) -> Any:
        """Visit the children."""
        for name in node.CHILDREN:
            child = getattr(node, name)
            if child is None:
                continue
            if isinstance(child, list):
                for item in list(child):
                    self.visit(item)
            else:
                self.visit(child)
        return None


class Transformer(Visitor):
    """In-place rewriting: `visit_X` returns the node that replaces it.

    In a list a method may return None (removes the element) or a list (splices it); a child that
    is not in a list may be replaced by None only where the field allows it.
    """

    def generic(self, node: ir.Node) -> Any:
        """Transform the children in place, return the node."""
        for name in node.CHILDREN:
            child = getattr(node, name)
            if child is None:
                continue
            if isinstance(child, list):
                setattr(node, name, self.visit_list(child))
            else:
                new = self.visit(child)
                if new is not child:
                    setattr(node, name, new)
        return node

    def visit_list(self, items: list[Any]) -> list[Any]:
        """Transform each element, dropping None and splicing lists."""
        out: list[Any] = []
        for item in items:
            new = self.visit(item)
            if new is None:
                continue
            if isinstance(new, list):
                out.extend(new)
            else:
                out.append(new)
        return out


def _find_handler(visitor: type, cls: type) -> Callable[..., Any] | None:
    for base in cls.__mro__:
        handler = getattr(visitor, f"visit_{base.__name__}", None)
        if handler is not None and base is not object:
            return handler  # type: ignore[no-any-return]
    return None


def clone(node: N, renamed: dict[ir.Decl, ir.Decl] | None = None) -> N:
    """A deep copy; references to declarations inside the copy point to their copies.

    `renamed` maps declarations to others to refer to instead (parameters to arguments'
    declarations, say); on return it also maps every declaration copied to its copy.
    """
    mapping: dict[Any, Any] = {} if renamed is None else renamed
    copied: list[ir.Node] = []
    result = _copy(node, mapping, copied)
    for new in copied:
        _redirect(new, mapping)
    return result  # type: ignore[no-any-return]


def _redirect(node: Any, mapping: dict[Any, Any]) -> None:
    for name in node.REFS:
        ref = getattr(node, name)
        if ref is not None:
            target = mapping.get(ref)
            if target is not None:
                setattr(node, name, target)
    own = getattr(node, "type", None)
    if isinstance(own, (TableType, TableResultType, ActionRunType)):
        table = mapping.get(own.table)
        if table is not None:
            node.type = type(own)(table)


def _copy(node: Any, mapping: dict[Any, Any], copied: list[ir.Node]) -> Any:
    cls: Any = type(node)
    new = cls.__new__(cls)
    kids = cls.CHILDREN
    for name in slots_of(cls):
        value = getattr(node, name)
        if value is not None and name in kids:
            if isinstance(value, list):
                value = [_copy(item, mapping, copied) for item in value]
            else:
                value = _copy(value, mapping, copied)
        elif isinstance(value, list):
            value = list(value)
        elif isinstance(value, dict):
            value = dict(value)
        setattr(new, name, value)
    if isinstance(node, ir.Decl):
        mapping[node] = new
    if cls.REFS:
        copied.append(new)
    return new
