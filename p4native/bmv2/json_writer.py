"""The BMv2 JSON (format 2.23) of a lowered core program; the sections are in `json_writer_*`."""

from __future__ import annotations

from p4native.bmv2.json_writer_actions import ActionWriter
from p4native.bmv2.json_writer_context import Context, Json
from p4native.bmv2.json_writer_deparser import write_checksums, write_deparser
from p4native.bmv2.json_writer_exprs import ExprWriter
from p4native.bmv2.json_writer_externs import write_field_lists, write_instances
from p4native.bmv2.json_writer_headers import write_headers
from p4native.bmv2.json_writer_parser import ParserWriter
from p4native.bmv2.json_writer_tables import PipelineWriter
from p4native.frontend.diagnostics import Reporter
from p4native.midend import core

VERSION = [2, 23]
_SECTIONS = (
    "header_types",
    "headers",
    "header_stacks",
    "header_union_types",
    "header_unions",
    "header_union_stacks",
    "field_lists",
    "errors",
    "enums",
    "parsers",
    "parse_vsets",
    "deparsers",
    "meter_arrays",
    "counter_arrays",
    "register_arrays",
    "calculations",
    "learn_lists",
    "actions",
    "pipelines",
    "checksums",
    "force_arith",
    "extern_instances",
    "field_aliases",
)


def write_json(program: core.Program, reporter: Reporter) -> Json:
    """The JSON object; what the target cannot express is reported."""
    context = Context(program, reporter)
    exprs = ExprWriter(context)
    json: Json = {name: [] for name in _SECTIONS}
    write_headers(context, json)
    write_field_lists(context, exprs)
    ParserWriter(context, exprs).write(json)
    for name, control in program.controls.items():
        writer = ActionWriter(context, exprs, name)
        json["actions"].extend(
            writer.action(a) for a in control.actions if a.hidden or _runs(control, a)
        )
    for name in ("ingress", "egress"):
        json["pipelines"].append(PipelineWriter(context, exprs, program.controls[name]).write())
    write_deparser(context, exprs, json)
    write_checksums(context, exprs, json)
    write_instances(context, exprs, json)
    json["field_lists"] = context.field_lists
    json["calculations"] = context.calculations
    json["learn_lists"] = context.learn_lists
    json["program"] = program.source
    json["__meta__"] = {"version": VERSION, "compiler": "p4native"}
    return json


def _runs(control: core.Control, action: core.Action) -> bool:
    """Whether a table of the control runs the action (else only P4Info shows it)."""
    return any(
        action is t.default or any(r.action is action for r in t.actions) for t in control.tables
    )
