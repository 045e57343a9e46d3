"""Compiling a P4 program: front end, elaboration, P4Info, passes, JSON; results are cached.

See `compile_cache` for how results are kept.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finsy.proto.p4.config.v1.p4info_pb2 import P4Info

    from p4native.frontend.diagnostics import Reporter
    from p4native.midend import core

Json = dict[str, Any]
Dump = Callable[[str, "core.Program"], None]


class CompileError(Exception):
    """The program has errors; `diagnostics` is the text to show."""

    def __init__(self, diagnostics: str) -> None:
        super().__init__(diagnostics)
        self.diagnostics = diagnostics


@dataclass(slots=True)
class CompileResult:
    """What a compilation yields; texts are exactly what is written to files."""

    json_text: str
    p4info_text: str
    diagnostics: str

    @property
    def json(self) -> Json:
        """The BMv2 JSON as objects."""
        loaded: Json = json_module.loads(self.json_text)
        return loaded

    @property
    def p4info(self) -> P4Info:
        """The P4Info as a protobuf message."""
        from finsy.proto.p4.config.v1.p4info_pb2 import P4Info
        from google.protobuf import text_format

        message: P4Info = text_format.Parse(self.p4info_text, P4Info())
        return message


def compile_program(
    path: str | Path,
    *,
    include_dirs: Sequence[str | Path] = (),
    defines: Mapping[str, str] | None = None,
    use_cache: bool = True,
    dump: Dump | None = None,
) -> CompileResult:
    """Compile the program at `path`; `CompileError` with all diagnostics if it is wrong.

    `dump` is called with the program after each pass (and makes the cache unused).
    """
    from p4native.compile_cache import Cache

    arguments = (str(path), [str(d) for d in include_dirs], dict(defines or {}))
    cache = Cache(arguments) if use_cache and dump is None else None
    if cache is not None:
        found = cache.load()
        if found is not None:
            return CompileResult(**found)
    result, inputs = _compile(*arguments, dump)
    if cache is not None:
        texts = {
            "json_text": result.json_text,
            "p4info_text": result.p4info_text,
            "diagnostics": result.diagnostics,
        }
        cache.store(texts, inputs)
    return result


def _compile(
    path: str, include_dirs: list[str], defines: dict[str, str], dump: Dump | None
) -> tuple[CompileResult, list[str]]:
    from p4native.bmv2.json_writer import write_json
    from p4native.bmv2.p4info_writer import p4info_text, write_p4info
    from p4native.frontend import parse_and_check
    from p4native.frontend.diagnostics import Loc, Reporter, TooManyErrors
    from p4native.midend.elaborate import elaborate
    from p4native.midend.passes import run_passes

    reporter = Reporter()
    try:
        source = parse_and_check(path, include_dirs, defines, reporter)
        if source is None:
            raise CompileError(reporter.render())
        elaborated = elaborate(source, path, reporter)
        if elaborated is None:
            raise CompileError(reporter.render())
        p4info = write_p4info(elaborated, reporter)
        _stop(reporter)
        run_passes(elaborated.program, reporter, dump)
        _stop(reporter)
        json = write_json(elaborated.program, reporter)
        _stop(reporter)
    except TooManyErrors as e:
        raise CompileError(reporter.render()) from e
    except RecursionError as e:
        reporter.error("overlimit", "the program is nested too deeply", Loc(path, 1, 1))
        raise CompileError(reporter.render()) from e
    text = json_module.dumps(json, indent=1) + "\n"
    return CompileResult(text, p4info_text(p4info), reporter.render()), list(reporter.sources)


def _stop(reporter: Reporter) -> None:
    if reporter.failed:
        raise CompileError(reporter.render())
