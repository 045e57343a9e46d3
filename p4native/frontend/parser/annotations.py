"""Parsing of annotations, including the bodies of those whose grammar is known."""

from __future__ import annotations

from p4native.frontend import ir
from p4native.frontend.lexer import KEYWORDS
from p4native.frontend.parser.base import SyntaxFailure
from p4native.frontend.parser.expressions import ExpressionParser

_EXPRESSION = frozenset(
    [
        "name",
        "deprecated",
        "noWarn",
        "length",
        "match",
        "max_group_size",
        "selector_size_semantics",
        "max_member_weight",
    ]
)
_EXPRESSION_LIST = frozenset(
    [
        "synchronous",
        "field_list",
        "id",
        "brief",
        "description",
        "controller_header",
        "alias",
        "priority",
    ]
)
_KEY_VALUES = frozenset(["pkginfo", "platform_property"])
_EMPTY = frozenset(
    [
        "atomic",
        "defaultonly",
        "hidden",
        "likely",
        "noSideEffects",
        "optional",
        "pure",
        "tableonly",
        "unlikely",
        "disable_optimization",
        "unroll",
        "nounroll",
    ]
)
_TRANSLATION = "p4runtime_translation"
_NEED_BODY = _EXPRESSION | _KEY_VALUES | {_TRANSLATION}


class AnnotationParser(ExpressionParser):
    """`@name`, `@name(...)`, `@name[...]` and `@pragma name ...`."""

    def annotations(self) -> list[ir.Annotation]:
        """Zero or more annotations."""
        found: list[ir.Annotation] = []
        while True:
            kind = self.kinds[self.at]
            if kind == "@":
                found.append(self._annotation())
            elif kind == "PRAGMA":
                found.append(self._pragma())
            else:
                return found

    def _annotation_name(self) -> str:
        kind = self.kinds[self.at]
        if kind != "ID" and kind not in KEYWORDS:
            raise self.fail("an annotation name")
        self.at += 1
        return self.texts[self.at - 1]

    def _annotation(self) -> ir.Annotation:
        loc = self.loc()
        self.expect("@")
        name = self._annotation_name()
        kind = self.kinds[self.at]
        if kind == "(":
            return self._unstructured(ir.Annotation(name, "unstructured", loc=loc), ")")
        if kind == "[":
            return self._structured(ir.Annotation(name, "list", loc=loc))
        if name in _NEED_BODY:
            self.reporter.error("syntax", f"@{name} needs a body in parentheses", loc)
        return ir.Annotation(name, loc=loc)

    def _pragma(self) -> ir.Annotation:
        loc = self.loc()
        self.expect("PRAGMA")
        name = self._annotation_name()
        annotation = ir.Annotation(name, "unstructured", loc=loc)
        self.at -= 1  # the body starts after the name, as if it were the "("
        result = self._unstructured(annotation, "END_PRAGMA")
        if not result.tokens:
            result.kind = "none"
        return result

    def _unstructured(self, annotation: ir.Annotation, close: str) -> ir.Annotation:
        self.at += 1
        start = self.at
        depth = 0
        while True:
            kind = self.kinds[self.at]
            if kind == close and depth == 0:
                break
            if kind in ("EOF", "END_PRAGMA"):
                raise self.fail(f"'{close}'")
            depth += (kind == "(") - (kind == ")")
            if depth < 0:
                raise self.fail("balanced parentheses in the annotation")
            self.at += 1
        end = self.at
        annotation.tokens = self.texts[start:end]
        annotation.text = " ".join(annotation.tokens)
        self._parse_body(annotation, start, end)
        self.at = end + 1
        return annotation

    def _parse_body(self, annotation: ir.Annotation, start: int, end: int) -> None:
        name = annotation.name
        if name in _EMPTY and end > start:
            self.reporter.error(
                "overlimit", f"@{name} should not have any arguments", annotation.loc
            )
        if name not in _EXPRESSION | _EXPRESSION_LIST | _KEY_VALUES and name != _TRANSLATION:
            return
        self.at = start
        if name in _KEY_VALUES:
            self._pairs(annotation)
        elif name == _TRANSLATION:
            self._translation(annotation)
        elif end > start or name in _EXPRESSION:
            annotation.exprs.append(self.expression())
            while name in _EXPRESSION_LIST and self.accept(","):
                annotation.exprs.append(self.expression())
        if self.at != end:
            raise self.fail(f"the end of the @{name} annotation")

    def _pairs(self, annotation: ir.Annotation) -> None:
        annotation.pairs.append(self.named_expression())
        while self.accept(","):
            annotation.pairs.append(self.named_expression())

    def _translation(self, annotation: ir.Annotation) -> None:
        """`@p4runtime_translation("uri", string | bit<W> | W)`: `string` becomes `""`."""
        annotation.exprs.append(self.string())
        self.expect(",")
        loc = self.loc()
        if self.accept("string"):
            annotation.exprs.append(ir.StringLit("", loc=loc))
        elif self.accept("bit"):
            self.expect("<")
            annotation.exprs.append(self.integer())
            self.expect(">")
        else:
            annotation.exprs.append(self.integer())

    def _structured(self, annotation: ir.Annotation) -> ir.Annotation:
        self.at += 1
        if self._at_named():
            annotation.kind = "kv"
            while self.kinds[self.at] != "]":
                annotation.pairs.append(self.named_expression())
                if not self.accept(","):
                    break
        else:
            while self.kinds[self.at] != "]":
                annotation.exprs.append(self.expression())
                if not self.accept(","):
                    break
        if self.kinds[self.at] != "]":
            raise SyntaxFailure if self.speculating else self.fail("']'")
        self.at += 1
        return annotation
