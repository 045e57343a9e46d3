"""`p4native compile`: a P4_16 program to BMv2 JSON and P4Info files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from p4native.commands.macros import macros

if TYPE_CHECKING:
    from p4native.compiler import Dump
    from p4native.midend import core


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="p4native compile",
        description="Compile a P4_16 program for v1model to BMv2 JSON and P4Info.",
    )
    parser.add_argument("program", nargs="?", type=Path, help="the P4 program")
    parser.add_argument(
        "-o",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="write NAME.json, NAME.p4info.txtpb here",
    )
    parser.add_argument("-I", dest="include", action="append", default=[], metavar="DIR")
    parser.add_argument("-D", dest="define", action="append", default=[], metavar="NAME[=V]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the JSON to this file")
    parser.add_argument("--p4info", type=Path, metavar="FILE", help="write the P4Info to this file")
    parser.add_argument("--passes", action="store_true", help="list the passes and why they are")
    parser.add_argument("--dump-after", metavar="PASS", help="print the program after a pass")
    parser.add_argument("--no-cache", action="store_true", help="compile even if nothing changed")
    parser.add_argument("-q", "--quiet", action="store_true", help="do not show warnings")
    return parser


def compile(arguments: list[str]) -> int:
    """Run the command; returns the exit code: 1 for an error in the program, 2 for usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.passes:
        return _list_passes()
    if options.program is None:
        parser.error("a program is needed")
    if options.folder is not None and options.folder.suffix == ".json":
        parser.error(f"-o names a folder; for a file: --json {options.folder} --p4info FILE")
    from p4native.compiler import CompileError, compile_program

    defines = macros(options.define)
    dump = None
    if options.dump_after is not None:
        dump = _dumper(options.dump_after)
        if dump is None:
            return 2
    try:
        result = compile_program(
            options.program,
            include_dirs=options.include,
            defines=defines,
            use_cache=not options.no_cache,
            dump=dump,
        )
    except CompileError as e:
        sys.stderr.write(e.diagnostics)
        return 1
    if result.diagnostics and not options.quiet:
        sys.stderr.write(result.diagnostics)
    if dump is not None:
        return 0
    return _write(options, result.json_text, result.p4info_text)


compile.takes_arguments = True  # type: ignore[attr-defined]


def _list_passes() -> int:
    from p4native.midend.passes import ELABORATE, PASSES

    print(f"{ELABORATE:<20} instantiate from main, inline, take structures apart")
    for p in PASSES:
        print(f"{p.name:<20} {p.why}")
    return 0


def _dumper(wanted: str) -> Dump | None:
    from p4native.midend.passes import names
    from p4native.midend.printer import print_program

    if wanted not in names():
        print(f"p4native: no pass '{wanted}'; they are: {', '.join(names())}", file=sys.stderr)
        return None

    def dump(name: str, program: core.Program) -> None:
        if name == wanted:
            sys.stdout.write(print_program(program))

    return dump


def _write(options: argparse.Namespace, json_text: str, p4info_text: str) -> int:
    stem = options.program.name.removesuffix(".p4")
    folder = options.folder
    if folder is None and options.json is None and options.p4info is None:
        folder = Path(".")
    json_file = options.json or (folder / f"{stem}.json" if folder else None)
    p4info_file = options.p4info or (folder / f"{stem}.p4info.txtpb" if folder else None)
    for file, text in ((json_file, json_text), (p4info_file, p4info_text)):
        if file is None:
            continue
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as e:
            print(f"p4native: cannot write {file}: {e.strerror}", file=sys.stderr)
            return 1
    return 0
