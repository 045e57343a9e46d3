"""The preprocessor: includes, conditionals and macros, as `cpp` does for P4 programs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from p4native.frontend.diagnostics import Loc, Reporter
from p4native.frontend.macros import (
    Expander,
    ExpansionError,
    Macro,
    NeedMoreText,
    parse_definition,
    split_tokens,
)
from p4native.frontend.ppexpr import ConditionError, evaluate
from p4native.frontend.source import Piece, SourceText

STANDARD_INCLUDE = Path(__file__).resolve().parent.parent / "p4include"

_OTHER_ARCHITECTURES = {
    "psa.p4", "pna.p4", "tna.p4", "t2na.p4", "ebpf_model.p4", "ubpf_model.p4", "xdp_model.p4",
}  # fmt: skip
_MAX_INCLUDE_DEPTH = 200
_MAX_LINES = 1_000_000
_MAX_BYTES = 32 << 20
# As cpp sees a file: an odd quote ends with its line. P4's strings span lines, which only the
# text that the conditionals leave can tell; so comments within a line stay until the end.
_COMMENT = re.compile(
    r'"(?:\\.|[^"\\\n])*(?:"|(?=\n|\Z))|//(?:\\\n|[^\n])*|/\*.*?\*/|/\*.*\Z', re.S
)
_OUTPUT_COMMENT = re.compile(
    r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/|/\*.*\Z|^[ \t]*#[^\n]*', re.S | re.M
)
_LONG_GAP = 8  # lines that cpp replaces by a line marker
_SPACES = re.compile(r'//.*|/\*.*?\*/|".*|\s+')
_IDENT = re.compile(r"[A-Za-z_]\w*")
_DIRECTIVE = re.compile(r"\s*#\s*([A-Za-z_]\w*)?[ \t]*(.*)", re.S)
_DEFINED = re.compile(r"\bdefined\s*(?:\(\s*([A-Za-z_]\w*)\s*\)|([A-Za-z_]\w*))")
_INCLUDE = re.compile(r'\s*(?:<([^>]*)>|"([^"]*)")')
_LINE = re.compile(r'\s*(\d+)(?:\s+"([^"]*)")?')


@dataclass(slots=True)
class _Condition:
    """One open `#if`: `active` now, whether a branch was `taken`, whether `#else` was seen."""

    loc: Loc
    active: bool
    taken: bool
    seen_else: bool = False


def is_system_file(name: str) -> bool:
    """Whether a file belongs to the standard includes rather than to the user's program."""
    return name.startswith(str(STANDARD_INCLUDE))


# What programs for several targets ask for, and what every C preprocessor defines.
_PREDEFINED = dict.fromkeys(
    ("__TARGET_BMV2__", "__STDC__", "__STDC_HOSTED__", "__ASSEMBLER__"), "1"
)


class Preprocessor:
    """Preprocesses one program; `output` is its text."""

    def __init__(
        self, include_dirs: Sequence[Path], defines: Mapping[str, str], reporter: Reporter
    ) -> None:
        self.include_dirs = [*include_dirs, STANDARD_INCLUDE]
        self.reporter = reporter
        self.macros: dict[str, Macro] = {}
        self.expander = Expander(self.macros)
        self.output = SourceText()
        self.depth = 0
        self.too_deep = False
        self.dependencies: list[Path] = []
        self.once: set[Path] = set()
        for name, value in {**_PREDEFINED, **defines}.items():
            self._define_text(f"{name} {value}", Loc("<command line>", 1, 1))
        for builtin in ("__FILE__", "__LINE__"):
            self.macros.setdefault(builtin, Macro(builtin, None, (builtin,)))

    def run(self, path: Path) -> SourceText | None:
        """Preprocess the program at `path`; None if it cannot be read (reported)."""
        text = self._read(path, Loc(str(path), 0, 0, 0))
        if text is None:
            return None
        self._file(path, text)
        return self._finish()

    def run_text(self, name: str, text: str) -> SourceText:
        """Preprocess a text that is not in a file."""
        self.reporter.add_source(name, text)
        self._file(Path(name), text)
        return self._finish()

    def _finish(self) -> SourceText:
        if self.output.lines:
            text = "\n".join(self.output.lines)
            self.output.lines = _OUTPUT_COMMENT.sub(_finished, text).split("\n")
        return self.output

    def _read(self, path: Path, loc: Loc) -> str | None:
        try:
            data = path.read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            self.reporter.error("io", f"cannot read {path}: {reason}", loc)
            return None
        if len(data) > _MAX_BYTES:
            self.reporter.error("overlimit", f"{path} is larger than {_MAX_BYTES} bytes", loc)
            return None
        text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
        self.reporter.add_source(str(path), text)
        self.dependencies.append(path)
        return text

    def _file(self, path: Path, text: str) -> None:
        def blank(match: re.Match[str]) -> str:
            found = match.group()
            if found.startswith("/*") and (len(found) < 4 or not found.endswith("*/")):
                line = text.count("\n", 0, match.start()) + 1
                self.reporter.error("preprocessor", "unterminated comment", Loc(str(path), line, 1))
            return _blank(match) if "\n" in found else found

        lines = _COMMENT.sub(blank, text).split("\n")
        _FileRun(self, path, lines).run()

    def include(
        self, name: str, quoted: bool, current: Path, loc: Loc, after: Path | None = None
    ) -> None:
        """Process `#include`, searching the including file's folder for the quoted form.

        `#include_next` searches only the folders `after` the one of the including file.
        """
        if self.too_deep:
            return
        if self.depth >= _MAX_INCLUDE_DEPTH:
            self.too_deep = True  # a cycle: what else it includes would grow exponentially
            self.reporter.error(
                "include", f"#include nested more than {_MAX_INCLUDE_DEPTH} deep: {name}", loc
            )
            return
        path = self._find(name, self._folders(quoted, current, after))
        if path is None:
            self.reporter.error("include", f"{name}: {self._why_missing(name, quoted)}", loc)
            return
        if path.resolve() in self.once:
            return
        text = self._read(path, loc)
        if text is None:
            return
        self.depth += 1
        self._file(path, text)
        self.depth -= 1

    def _why_missing(self, name: str, quoted: bool) -> str:
        if name in _OTHER_ARCHITECTURES:
            return "no such file; programs for v1model (v1model.p4) can be compiled, no others"
        beside = "beside this file and " if quoted else ""
        folders = ", ".join(str(folder) for folder in self.include_dirs)
        return f"no such file; looked {beside}in {folders}; add -I DIR"

    def _folders(self, quoted: bool, current: Path, after: Path | None) -> list[Path]:
        if after in self.include_dirs:
            return self.include_dirs[self.include_dirs.index(after) + 1 :]
        return [current.parent, *self.include_dirs] if quoted else self.include_dirs

    @staticmethod
    def _find(name: str, folders: Sequence[Path]) -> Path | None:
        for folder in folders:
            candidate = folder / name
            try:
                if candidate.is_file():
                    return candidate
            except (OSError, ValueError):
                continue
        return None

    def _define_text(self, text: str, loc: Loc) -> None:
        try:
            macro = parse_definition(text)
        except ExpansionError as error:
            self.reporter.error("preprocessor", str(error), loc)
            return
        old = self.macros.get(macro.name)
        if old is not None and old != macro and old.body != (macro.name,):
            self.reporter.warning("preprocessor", f"'{macro.name}' redefined", loc)
        self.macros[macro.name] = macro


class _FileRun:
    """The processing of one file's lines."""

    def __init__(self, owner: Preprocessor, path: Path, lines: list[str]) -> None:
        self.pp = owner
        self.path = path
        self.lines = lines
        self.name = str(path)
        self.shift = 0  # from #line
        self.conditions: list[_Condition] = []
        self.active = True
        self.at = 0
        self.written = 0  # the line below the last one in the output

    def run(self) -> None:
        macros = self.pp.macros
        while self.at < len(self.lines):
            start = self.at
            line = self._logical_line()
            if "#" in line and _without_comments(line).lstrip().startswith("#"):
                self._directive(_without_comments(line), start)
            elif self.active and line and not line.isspace():
                if macros.keys().isdisjoint(_IDENT.findall(line)):
                    self._add(line, start)
                else:
                    self._expanded(line, start)
        for condition in self.conditions:
            self.pp.reporter.error("preprocessor", "unterminated conditional", condition.loc)
        if len(self.pp.output.lines) > _MAX_LINES:
            self.pp.reporter.error(
                "overlimit", f"more than {_MAX_LINES} lines after preprocessing", self._loc(0)
            )
            self.pp.output.lines.clear()

    def _add(self, line: str, start: int, pieces: list[Piece] | None = None) -> None:
        """Write a line as cpp does: after what it left out, as text in a string shows."""
        add, number = self.pp.output.add, start + 1 + self.shift
        gap = start - self.written
        if gap >= _LONG_GAP:
            add(f'# {number} "{self.name}"', self.name, number)
        else:
            for missing in range(number - gap, number):
                add("", self.name, missing)
        add(line, self.name, number, pieces)
        self.written = start + 1

    def _logical_line(self) -> str:
        line = self.lines[self.at]
        self.at += 1
        while line.endswith("\\") and self.at < len(self.lines):
            line = line[:-1] + self.lines[self.at]
            self.at += 1
        return line

    def _loc(self, index: int, column: int = 1) -> Loc:
        return Loc(self.name, index + 1 + self.shift, column)

    def _expanded(self, line: str, start: int) -> None:
        self._set_builtins(start)
        while True:
            try:
                text, pieces = self.pp.expander.expand_line(line)
            except NeedMoreText:
                if self.at < len(self.lines):
                    line = _without_comments(line) + " " + self._logical_line()
                    continue
                self.pp.reporter.error(
                    "preprocessor", "unterminated macro argument list", self._loc(start)
                )
                return
            except ExpansionError as error:
                self.pp.reporter.error("preprocessor", str(error), self._loc(start))
                return
            self._add(text, start, pieces)
            return

    def _set_builtins(self, start: int) -> None:
        number = str(start + 1 + self.shift)
        self.pp.macros["__LINE__"] = Macro("__LINE__", None, (number,))
        self.pp.macros["__FILE__"] = Macro("__FILE__", None, (f'"{self.name}"',))

    def _directive(self, line: str, start: int) -> None:
        match = _DIRECTIVE.match(line)
        assert match is not None
        word, rest = match.group(1) or "", match.group(2).strip()
        loc = self._loc(start, len(line) - len(line.lstrip()) + 1)
        if word in ("if", "ifdef", "ifndef", "elif", "else", "endif"):
            getattr(self, f"_do_{word}")(rest, loc)
            self.active = all(c.active for c in self.conditions)
        elif self.active:
            handler = getattr(self, f"_do_{word}", None) if word else None
            if handler is not None:
                handler(rest, loc)
            else:  # in a string it is text
                self._add(line, start)

    def _truth(self, rest: str, loc: Loc) -> bool:
        self._set_builtins(loc.line - 1 - self.shift)
        macros = self.pp.macros

        def known(match: re.Match[str]) -> str:
            return "1" if (match.group(1) or match.group(2)) in macros else "0"

        try:
            return evaluate(self.pp.expander.expand(_DEFINED.sub(known, rest))) != 0
        except (ConditionError, ExpansionError) as error:
            self.pp.reporter.error("preprocessor", str(error), loc)
        except NeedMoreText:
            self.pp.reporter.error("preprocessor", "unterminated macro argument list", loc)
        return False

    def _do_if(self, rest: str, loc: Loc) -> None:
        value = self.active and self._truth(rest, loc)
        self.conditions.append(_Condition(loc, value, value))

    def _do_ifdef(self, rest: str, loc: Loc) -> None:
        value = self._macro_name(rest, loc) in self.pp.macros
        self.conditions.append(_Condition(loc, value, value))

    def _do_ifndef(self, rest: str, loc: Loc) -> None:
        value = self._macro_name(rest, loc) not in self.pp.macros
        self.conditions.append(_Condition(loc, value, value))

    def _macro_name(self, rest: str, loc: Loc) -> str:
        match = _IDENT.match(rest)
        if match is None:
            self.pp.reporter.error("preprocessor", "no macro name given", loc)
            return ""
        return match.group()

    def _do_elif(self, rest: str, loc: Loc) -> None:
        if not self.conditions or self.conditions[-1].seen_else:
            self.pp.reporter.error("preprocessor", "#elif without #if", loc)
            return
        condition = self.conditions[-1]
        outer = all(c.active for c in self.conditions[:-1])
        value = outer and not condition.taken and self._truth(rest, loc)
        condition.active = value
        condition.taken = condition.taken or value

    def _do_else(self, _rest: str, loc: Loc) -> None:
        if not self.conditions or self.conditions[-1].seen_else:
            self.pp.reporter.error("preprocessor", "#else without #if", loc)
            return
        condition = self.conditions[-1]
        condition.active = not condition.taken
        condition.taken = condition.seen_else = True

    def _do_endif(self, _rest: str, loc: Loc) -> None:
        if not self.conditions:
            self.pp.reporter.error("preprocessor", "#endif without #if", loc)
            return
        self.conditions.pop()

    def _do_define(self, rest: str, loc: Loc) -> None:
        self.pp._define_text(rest, loc)

    def _do_undef(self, rest: str, loc: Loc) -> None:
        self.pp.macros.pop(self._macro_name(rest, loc), None)

    def _do_include(self, rest: str, loc: Loc, after: Path | None = None) -> None:
        match = _INCLUDE.match(rest)
        if match is None and rest:
            try:
                match = _INCLUDE.match(self.pp.expander.expand(rest))
            except (ExpansionError, NeedMoreText):
                match = None
        if match is None:
            self.pp.reporter.error("preprocessor", '#include expects "FILENAME" or <FILENAME>', loc)
            return
        angle, quoted = match.groups()
        self.pp.include(angle or quoted or "", angle is None, self.path, loc, after)

    def _do_include_next(self, rest: str, loc: Loc) -> None:
        self._do_include(rest, loc, self.path.parent)

    def _do_error(self, rest: str, loc: Loc) -> None:
        self.pp.reporter.error("preprocessor", f"#error {rest}", loc)

    def _do_warning(self, rest: str, loc: Loc) -> None:
        self.pp.reporter.warning("preprocessor", f"#warning {rest}", loc)

    def _do_pragma(self, rest: str, _loc: Loc) -> None:
        if split_tokens(rest)[:1] == ["once"]:
            self.pp.once.add(self.path.resolve())

    def _do_line(self, rest: str, loc: Loc) -> None:
        match = _LINE.match(rest)
        if match is None or len(match.group(1)) > 9:
            self.pp.reporter.error("preprocessor", "#line expects a line number", loc)
            return
        self.shift = int(match.group(1)) - self.at - 1
        if match.group(2):
            self.name = match.group(2)


def _finished(match: re.Match[str]) -> str:
    """A comment becomes white space; a string's later lines are spaced as cpp spaces code."""
    text = match.group()
    if text[0] != '"' or "\n" not in text:
        return _blank(match)
    first, *others = text.split("\n")
    return "\n".join([first, *(_SPACES.sub(_one_space, line) for line in others)])


def _one_space(match: re.Match[str]) -> str:
    text = match.group()
    if not text.isspace():
        return text
    if match.start() == 0:
        return " " * len(text)
    return " " if match.end() < len(match.string) else ""


def _without_comments(line: str) -> str:
    return _COMMENT.sub(_blank, line) if "/" in line else line


def _blank(match: re.Match[str]) -> str:
    """A comment becomes white space of the same shape, a string stays."""
    text = match.group()
    if text[0] == '"':
        return text
    return "\n".join(" " * len(part) for part in text.split("\n"))
