"""Annotations and documentation in P4Info messages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from p4native.frontend import ir
from p4native.frontend.diagnostics import Reporter

_ELSEWHERE = frozenset({"name", "id", "brief", "description"})


def annotation(items: Iterable[Any], name: str) -> ir.Annotation | None:
    """The first annotation of that name."""
    return next((a for a in items if a.name == name), None)


def text_of(a: ir.Annotation | None) -> str | None:
    """The string an annotation like `@brief("...")` holds."""
    if a is not None and a.exprs and isinstance(a.exprs[0], ir.StringLit):
        return a.exprs[0].text
    return None


def number_of(a: ir.Annotation | None) -> int | None:
    """The number an annotation like `@id(1)` holds."""
    if a is not None and a.exprs:
        e = a.exprs[0]
        if isinstance(e, ir.IntLit):
            return e.number
        if isinstance(e.value, int):
            return int(e.value)
    return None


def wanted_id(items: Iterable[Any], reporter: Reporter) -> int | None:
    """The value of `@id`, None without one."""
    found = annotation(items, "id")
    number = number_of(found)
    if found is not None and (number is None or number < 0 or number >= 1 << 32):
        reporter.error("invalid", "@id should be an unsigned 32-bit integer", found.loc)
        return None
    return number


def is_hidden(items: Iterable[Any]) -> bool:
    """Whether `@hidden` keeps the object out of P4Info."""
    return annotation(items, "hidden") is not None


def add_annotations(
    message: Any, items: Iterable[ir.Annotation], skip: frozenset[str] = frozenset()
) -> None:
    """Copy annotations; `@name`, `@id` and documentation are said elsewhere in the message."""
    for a in items:
        if a.kind in ("list", "kv"):
            _structured(message.structured_annotations.add(), a)
        elif a.name not in _ELSEWHERE and a.name not in skip:
            body = f"({a.text})" if a.kind == "unstructured" and a.text else ""
            message.annotations.append(f"@{a.name}{body}")


def _structured(message: Any, a: ir.Annotation) -> None:
    message.name = a.name
    if a.kind == "list":
        for e in a.exprs:
            _literal(message.expression_list.expressions.add(), e)
        return
    for pair in a.pairs:
        kv = message.kv_pair_list.kv_pairs.add()
        kv.key = pair.name
        _literal(kv.value, pair.expr)


def _literal(message: Any, e: ir.Expression) -> None:
    value = e.value
    if isinstance(e, ir.StringLit):
        message.string_value = e.text
    elif isinstance(value, bool) or isinstance(e, ir.BoolLit):
        message.bool_value = e.truth if isinstance(e, ir.BoolLit) else bool(value)
    elif isinstance(e, ir.IntLit):
        message.int64_value = e.number
    elif isinstance(value, int):
        message.int64_value = value
    elif isinstance(value, str):
        message.string_value = value


def add_documentation(message: Any, items: Iterable[Any]) -> None:
    """Set `doc` from `@brief` and `@description`."""
    for a in items:
        text = text_of(a) if a.name in ("brief", "description") else None
        if text is not None:
            setattr(message.doc, a.name, text)
