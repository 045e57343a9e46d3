"""Small v1model programs for the tests: only what differs is written in a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from p4native.bmv2.json_writer import write_json
from p4native.bmv2.p4info_writer import write_p4info
from p4native.frontend import check_source
from p4native.frontend.diagnostics import Reporter
from p4native.midend import core
from p4native.midend.elaborate import elaborate
from p4native.midend.passes import run_passes
from p4native.midend.printer import print_program

_PROGRAM = """#include <core.p4>
#include <v1model.p4>
header h_t {{ bit<8> a; bit<8> b; bit<16> c; }}
header v_t {{ varbit<64> v; }}
header_union u_t {{ h_t h; v_t v; }}
{types}
struct headers {{ h_t h; h_t g; h_t[3] s; {headers} }}
struct metadata {{ bit<8> x; bit<8> y; bit<32> w; bool flag; {metadata} }}
{globals}
parser P(packet_in pkt, out headers hdr, inout metadata meta, inout standard_metadata_t std) {{
{parser}
}}
control V(inout headers hdr, inout metadata meta) {{ apply {{ {verify} }} }}
control I(inout headers hdr, inout metadata meta, inout standard_metadata_t std) {{
{locals}
apply {{
{apply}
}} }}
control E(inout headers hdr, inout metadata meta, inout standard_metadata_t std) {{
apply {{ {egress} }} }}
control C(inout headers hdr, inout metadata meta) {{ apply {{ {compute} }} }}
control D(packet_out pkt, in headers hdr) {{ apply {{ {deparser} }} }}
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""

_DEFAULTS = dict.fromkeys(
    [
        "types",
        "headers",
        "metadata",
        "globals",
        "verify",
        "locals",
        "apply",
        "egress",
        "compute",
        "deparser",
    ],
    "",
) | {"parser": "state start { pkt.extract(hdr.h); transition accept; }"}


def program(**parts: str) -> str:
    """The text of a whole program; `parts` as in the template above."""
    return _PROGRAM.format(**(_DEFAULTS | parts))


class Compiled:
    """A program after elaboration, with the later results on demand."""

    def __init__(self, text: str) -> None:
        self.reporter = Reporter()
        self.dumps: dict[str, str] = {}
        self.program: core.Program | None = None
        source = check_source(text, "test.p4", self.reporter)
        assert source is not None, self.reporter.render()
        self.elaborated = elaborate(source, "test.p4", self.reporter)
        if self.elaborated is not None:
            self.p4info: Any = write_p4info(self.elaborated, self.reporter)
            self.program = self.elaborated.program

    def passes(self) -> Compiled:
        """Run all passes, keeping the program's text after each in `dumps`."""
        assert self.program is not None, self.reporter.render()
        run_passes(
            self.program,
            self.reporter,
            lambda name, p: self.dumps.__setitem__(name, print_program(p)),
        )
        return self

    def json(self) -> dict[str, Any]:
        """The BMv2 JSON."""
        self.passes()
        assert self.program is not None
        made = write_json(self.program, self.reporter)
        assert not self.reporter.failed, self.reporter.render()
        json.dumps(made)
        return made


def compiled(**parts: str) -> Compiled:
    """Elaborate a program given by its parts."""
    return Compiled(program(**parts))


def errors(**parts: str) -> list[tuple[int, str]]:
    """Line and message of every error from elaboration to the JSON."""
    made = compiled(**parts)
    if made.program is not None and not made.reporter.failed:
        made.passes()
        if not made.reporter.failed:
            write_json(made.program, made.reporter)
    return [(d.loc.line, d.message) for d in made.reporter.errors]


def section(dump: str, start: str) -> list[str]:
    """The stripped lines of a dump from the line starting with `start` to its closing brace."""
    lines = dump.splitlines()
    first = next(i for i, line in enumerate(lines) if line.strip().startswith(start))
    indent = len(lines[first]) - len(lines[first].lstrip())
    out: list[str] = []
    for line in lines[first + 1 :]:
        if line.strip() == "}" and len(line) - len(line.lstrip()) == indent:
            break
        out.append(line.strip())
    return out


def line_of(text: str, needle: str) -> int:
    """The 1-based line of a text in which `needle` is."""
    return next(i for i, line in enumerate(text.splitlines(), 1) if needle in line)


CORPUS = Path(__file__).resolve().parent.parent / "corpus"
REPOSITORY = Path(__file__).resolve().parent.parent.parent
