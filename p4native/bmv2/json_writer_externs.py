"""Extern calls as BMv2 primitives, extern objects as arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from p4native.bmv2.json_writer_context import Context, Json, number
from p4native.bmv2.json_writer_exprs import ExprWriter
from p4native.bmv2.model import LOG_PLACEHOLDER
from p4native.frontend.types import BitsType, underlying
from p4native.midend import core

CLONES = {"I2E": "clone_ingress_pkt_to_egress", "E2E": "clone_egress_pkt_to_egress"}
_ALGORITHMS = frozenset(
    {"crc32", "crc32_custom", "crc16", "crc16_custom", "random", "identity", "csum16", "xor16"}
)


class ExternWriter:
    """Writes extern statements of one block (`block` is `ingress`, `egress`, ...)."""

    def __init__(self, context: Context, exprs: ExprWriter) -> None:
        self.context = context
        self.exprs = exprs
        self.block = ""
        self._writers: dict[str, Callable[[core.Extern], list[Any]]] = {
            "counter.count": self._indexed("counter_array"),
            "meter.execute_meter": self._indexed("meter_array"),
            "register.read": self._register_read,
            "register.write": self._indexed("register_array"),
            "mark_to_drop": lambda _: [{"type": "header", "value": "standard_metadata"}],
            "hash": self._hash,
            "random": self._all_arguments,
            "truncate": self._all_arguments,
            "assert": self._condition,
            "assume": self._condition,
            "log_msg": self._log_msg,
            "digest": self._digest,
            "clone": lambda s: [self.exprs.argument(s.args[1]), number(self.empty_list(), 32)],
            "clone_preserving_field_list": lambda s: [
                self.exprs.argument(s.args[1]),
                number(self.field_list(s.args[2], s), 32),
            ],
            "resubmit_preserving_field_list": self._list_only,
            "recirculate_preserving_field_list": self._list_only,
        }

    def primitive(self, s: core.Extern) -> Json | None:
        """The primitive for a call, None (with an error reported) if there is none."""
        writer = self._writers.get(s.op)
        if writer is None:
            self.context.error(f"{s.op} is not supported here on this target", s.loc)
            return None
        if not self._allowed(s):
            return None
        parameters = writer(s)
        made: Json = {"op": self._name(s), "parameters": parameters}
        made.update(self.context.source_info(s.loc))
        return made

    def _allowed(self, s: core.Extern) -> bool:
        where = {"I2E": "ingress", "E2E": "egress"}.get(
            s.args[0] if s.op.startswith("clone") else "", ""
        )
        where = {
            "resubmit_preserving_field_list": "ingress",
            "recirculate_preserving_field_list": "egress",
        }.get(s.op, where)
        if where and self.block != where:
            self.context.error(f"{s.op} can only be invoked in {where} here", s.loc)
            return False
        return True

    @staticmethod
    def _name(s: core.Extern) -> str:
        if s.op.startswith("clone"):
            return CLONES[s.args[0]]
        return {
            "counter.count": "count",
            "meter.execute_meter": "execute_meter",
            "register.read": "register_read",
            "register.write": "register_write",
            "hash": "modify_field_with_hash_based_offset",
            "random": "modify_field_rng_uniform",
            "digest": "generate_digest",
            "resubmit_preserving_field_list": "resubmit",
            "recirculate_preserving_field_list": "recirculate",
        }.get(s.op, s.op)

    def _indexed(self, kind: str) -> Callable[[core.Extern], list[Any]]:
        def write(s: core.Extern) -> list[Any]:
            assert s.instance is not None
            array: Json = {"type": kind, "value": s.instance.name}
            return [array, *(self.exprs.argument(a) for a in s.args)]

        return write

    def _register_read(self, s: core.Extern) -> list[Any]:
        assert s.instance is not None
        array: Json = {"type": "register_array", "value": s.instance.name}
        return [self.exprs.target(s.args[0]), array, self.exprs.argument(s.args[1])]

    def _all_arguments(self, s: core.Extern) -> list[Any]:
        return [self.exprs.argument(a) for a in s.args]

    def _condition(self, s: core.Extern) -> list[Any]:
        value: Json = {
            "type": "expression",
            "value": {"op": "b2d", "left": None, "right": self.exprs.operand(s.args[0])},
        }
        return [{"type": "expression", "value": value}]

    def _log_msg(self, s: core.Extern) -> list[Any]:
        values = [self.exprs.argument(a) for a in s.args[1]] if len(s.args) > 1 else []
        places = len(LOG_PLACEHOLDER.findall(s.args[0]))
        if places != len(values):
            self.context.error(
                f"the message of log_msg has {{}} {places} times for {len(values)} values",
                s.loc,
                "invalid",
            )
        return [
            {"type": "string", "value": s.args[0]},
            {"type": "parameters_vector", "value": values},
        ]

    def _hash(self, s: core.Extern) -> list[Any]:
        result, algorithm, base, data, limit = s.args
        name = self.calculation(algorithm, data, s)
        return [
            self.exprs.target(result),
            self.exprs.argument(base),
            {"type": "calculation", "value": name},
            self.exprs.argument(limit),
        ]

    def calculation(
        self, algorithm: str, data: list[Any], s: core.Stmt, payload: bool = False
    ) -> str:
        """Add a calculation; returns its name."""
        if algorithm not in _ALGORITHMS:
            self.context.error(
                f"hash algorithm '{algorithm}' is not supported on this target", s.loc
            )
        inputs = [self._calculation_input(item) for item in data]
        if payload:
            inputs.append({"type": "payload", "value": None})
        name = self.context.program.fresh("calc")
        made: Json = {"name": name, "id": self.context.next_id("calculations")}
        made.update(self.context.source_info(s.loc))
        made.update(algo=algorithm, input=inputs)
        self.context.calculations.append(made)
        return name

    def _calculation_input(self, item: Any) -> Json:
        if isinstance(item, core.Header):
            return {"type": "header", "value": item.name}
        written = self.exprs.argument(item)
        if isinstance(item, core.Const):
            written["bitwidth"] = core.scalar_width(item.type)
        return written

    def _digest(self, s: core.Extern) -> list[Any]:
        receiver, name, fields = s.args
        known = self.context.digests.get(name)
        if known is not None:
            return [self.exprs.argument(receiver), number(known, 32)]
        learn: Json = {"id": self.context.next_id("learn_lists"), "name": name}
        learn.update(self.context.source_info(s.loc))
        learn["elements"] = [self.exprs.argument(f) for f in fields]
        self.context.learn_lists.append(learn)
        self.context.digests[name] = learn["id"]
        return [self.exprs.argument(receiver), number(learn["id"], 32)]

    def _list_only(self, s: core.Extern) -> list[Any]:
        return [number(self.field_list(s.args[0], s), 32)]

    def field_list(self, index: int, s: core.Stmt) -> int:
        """The id of the list of metadata fields annotated `@field_list(index)`."""
        known = self.context.field_list_ids.get(index)
        if known is not None:
            return known
        self.context.reporter.warning(
            "invalid", f"no user metadata fields tagged with @field_list({index})", s.loc
        )
        made = self.empty_list()
        self.context.field_list_ids[index] = made
        return made

    def empty_list(self) -> int:
        """The id of a new field list without elements."""
        number_ = self.context.next_id("field_lists")
        name = self.context.program.fresh("fl")
        self.context.field_lists.append({"id": number_, "name": name, "elements": []})
        return number_


def write_field_lists(context: Context, exprs: ExprWriter) -> None:
    """The lists that `@field_list` annotations make."""
    for index, fields in context.program.field_lists.items():
        number_ = context.next_id("field_lists")
        context.field_list_ids[index] = number_
        context.field_lists.append(
            {
                "id": number_,
                "name": f"field_list{index}",
                "elements": [exprs.plain(f) for f in fields],
            }
        )


def write_instances(context: Context, exprs: ExprWriter, json: Json) -> None:
    """Counters, meters and registers: global ones first, then each control's."""
    writers = {
        "counter": _counter,
        "meter": _meter,
        "register": _register,
        "direct_counter": lambda *_: None,
        "direct_meter": lambda *_: None,
        "action_profile": lambda *_: None,
        "action_selector": lambda *_: None,
    }
    program = context.program
    instances = [*program.instances]
    for control in program.controls.values():
        instances.extend(control.instances)
    for instance in instances:
        writer = writers.get(instance.kind)
        if writer is None:
            context.error(f"extern object type '{instance.kind}' is not supported", instance.loc)
        else:
            writer(context, json, instance)
    for control in program.controls.values():
        for table in control.tables:
            _direct(context, exprs, json, table)


def _size(instance: core.Instance) -> int:
    size = instance.args.get("size", 0)
    assert isinstance(size, int)
    return size


def _counter(context: Context, json: Json, instance: core.Instance) -> None:
    made: Json = {"name": instance.name, "id": context.next_id("counter_arrays")}
    made.update(context.source_info(instance.loc))
    made.update(size=_size(instance), is_direct=False)
    json["counter_arrays"].append(made)


def _meter(context: Context, json: Json, instance: core.Instance) -> None:
    made: Json = {"name": instance.name, "id": context.next_id("meter_arrays")}
    made.update(context.source_info(instance.loc))
    made.update(is_direct=False, size=_size(instance), rate_count=2, type=instance.args.get("type"))
    json["meter_arrays"].append(made)


def _register(context: Context, json: Json, instance: core.Instance) -> None:
    t = underlying(instance.type_args[0]) if instance.type_args else None
    if not isinstance(t, BitsType):
        context.error("only registers of bit or int are supported on this target", instance.loc)
        return
    if _size(instance) == 0:
        context.error("direct registers are not supported on this target", instance.loc)
    made: Json = {"name": instance.name, "id": context.next_id("register_arrays")}
    made.update(context.source_info(instance.loc))
    made.update(size=_size(instance), bitwidth=t.width)
    json["register_arrays"].append(made)


def _direct(context: Context, exprs: ExprWriter, json: Json, table: core.Table) -> None:
    counter, meter = table.counter, table.meter
    if counter is not None:
        made: Json = {"name": counter.name, "id": context.next_id("counter_arrays")}
        made.update(is_direct=True, binding=table.name)
        made.update(context.source_info(counter.loc))
        json["counter_arrays"].append(made)
    if meter is None:
        return
    if table.meter_target is None:
        context.error(
            f"direct meter '{meter.name}' is never read by an action", meter.loc, "invalid"
        )
        return
    made = {"name": meter.name, "id": context.next_id("meter_arrays")}
    made.update(context.source_info(meter.loc))
    result = exprs.target(table.meter_target)
    made.update(
        is_direct=True,
        rate_count=2,
        type=meter.args.get("type"),
        size=table.size or 1024,
        binding=table.name,
        result_target=result["value"],
    )
    json["meter_arrays"].append(made)
