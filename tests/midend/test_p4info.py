"""P4Info: ids, names, aliases, annotations, types; equality with the reference compiler."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from p4native.bmv2.p4info_ids import Symbols, field_ids, name_hash
from p4native.bmv2.p4info_writer import p4info_text
from p4native.compiler import compile_program
from p4native.frontend.diagnostics import NOWHERE, Reporter
from tests.midend.programs import CORPUS, REPOSITORY, compiled, errors

P4C = shutil.which("p4c-bm2-ss")


def _programs() -> list[Path]:
    """The NIC, and the corpus programs that say most to the control plane."""
    names = "names digests meters table_kinds action_profiles value_set enums nested_controls"
    found = [CORPUS / f"{name}.p4" for name in names.split()]
    return [*(p for p in found if p.exists()), REPOSITORY / "p4src/hybrid_nic.p4"]


# --- ids and aliases ---


def test_ids_are_those_that_p4runtime_tools_expect() -> None:
    symbols = Symbols(Reporter())
    symbols.add("action", "NoAction")
    symbols.add("table", "MyIngress.ingress_tbl")
    symbols.add("action", "MyIngress.drop")
    symbols.assign()
    assert symbols.id("action", "NoAction") == 21257015
    assert symbols.id("table", "MyIngress.ingress_tbl") == 46478332
    assert symbols.id("action", "MyIngress.drop") == 25652968


def test_a_collision_takes_the_next_number() -> None:
    symbols = Symbols(Reporter())
    taken = name_hash("a.b") & 0xFFFFFF
    symbols.add("table", "other", wanted=taken)
    symbols.add("table", "a.b")
    symbols.assign()
    assert symbols.id("table", "a.b") == (0x02 << 24) | ((taken + 1) & 0xFFFFFF)


def test_an_alias_is_the_shortest_unique_suffix() -> None:
    symbols = Symbols(Reporter())
    for name in ("d.a.c", "e.b.c", "only", "x.only.y"):
        symbols.add("table", name)
    assert symbols.alias("d.a.c") == "a.c"
    assert symbols.alias("e.b.c") == "b.c"
    assert symbols.alias("only") == "only"
    assert symbols.alias("x.only.y") == "y"


@pytest.mark.parametrize(
    ("wanted", "message"), [(0x03000001, "wrong 8-bit prefix"), (7, "more than one")]
)
def test_bad_ids_are_refused(wanted: int, message: str) -> None:
    reporter = Reporter()
    symbols = Symbols(reporter)
    symbols.add("table", "first", wanted=7)
    symbols.add("table", "second", wanted=wanted)
    assert message in reporter.errors[0].message


def test_field_ids_count_around_those_that_are_given() -> None:
    reporter = Reporter()
    assert field_ids([None, None], [NOWHERE] * 2, reporter) == [1, 2]
    assert field_ids([None, 1, None], [NOWHERE] * 3, reporter) == [2, 1, 3]
    assert not reporter.failed
    field_ids([5, 5], [NOWHERE] * 2, reporter)
    assert reporter.failed


# --- contents ---

TABLE = """
    action set(@id(7) @brief("the port") bit<9> port, bit<8> @name("q") v) {
        std.egress_spec = port; meta.x = v; }
    direct_counter(CounterType.packets_and_bytes) hits;
    @brief("a table") @my(1) @structured[a=1, b="two"]
    table t {
        key = { hdr.h.a : exact; hdr.h.b : ternary @id(9); hdr.h.isValid() : exact;
                hdr.h.c[7:0] : lpm @name("low"); meta.x : optional; meta.w : range; }
        actions = { set; @defaultonly NoAction; @tableonly other; }
        const default_action = NoAction;
        counters = hits; size = 77; support_timeout = true;
    }
    action other() { }
"""


def test_tables_show_all_they_are() -> None:
    locals_ = TABLE.replace('bit<8> @name("q") v', '@name("q") bit<8> v')
    info = compiled(
        locals="action other() { }" + locals_.replace("action other() { }", ""), apply="t.apply();"
    ).p4info
    (table,) = info.tables
    assert (table.preamble.name, table.preamble.alias, table.size) == ("I.t", "t", 77)
    assert [f.name for f in table.match_fields] == [
        "hdr.h.a",
        "hdr.h.b",
        "hdr.h.$valid$",
        "low",
        "meta.x",
        "meta.w",
    ]
    assert [f.id for f in table.match_fields] == [1, 9, 2, 3, 4, 5]
    assert [f.bitwidth for f in table.match_fields] == [8, 8, 1, 8, 8, 32]
    kinds = [
        table.match_fields[i].MatchType.Name(f.match_type) for i, f in enumerate(table.match_fields)
    ]
    assert kinds == ["EXACT", "TERNARY", "EXACT", "LPM", "OPTIONAL", "RANGE"]
    assert [r.Scope.Name(r.scope) for r in table.action_refs] == [
        "TABLE_AND_DEFAULT",
        "DEFAULT_ONLY",
        "TABLE_ONLY",
    ]
    assert table.preamble.doc.brief == "a table"
    assert list(table.preamble.annotations) == ["@my(1)"]
    (structured,) = table.preamble.structured_annotations
    assert [p.key for p in structured.kv_pair_list.kv_pairs] == ["a", "b"]
    assert table.idle_timeout_behavior == table.NOTIFY_CONTROL
    assert table.const_default_action_id == table.initial_default_action.action_id != 0
    assert list(table.direct_resource_ids) == [info.direct_counters[0].preamble.id]
    action = next(a for a in info.actions if a.preamble.alias == "set")
    assert [(p.id, p.name, p.bitwidth) for p in action.params] == [(7, "port", 9), (2, "q", 8)]
    assert action.params[0].doc.brief == "the port"


def test_translated_types() -> None:
    info = compiled(
        types="""@p4runtime_translation("", string) type bit<9> port_name_t;
            @p4runtime_translation("example.com/id", 24) type bit<32> id_t;
            type bit<8> plain_t; enum bit<4> kind_t { A = 1, B = 2 }""",
        metadata="id_t id; plain_t plain; kind_t kind;",
        locals="""action a(port_name_t p) { }
            table t { key = { meta.id : exact; meta.plain : exact; meta.kind : exact; }
                actions = { a; } default_action = a((port_name_t) 3); }""",
        apply="t.apply();",
    ).p4info
    fields = info.tables[0].match_fields
    assert [(f.bitwidth, f.type_name.name) for f in fields] == [
        (24, "id_t"),
        (8, "plain_t"),
        (4, ""),
    ]
    types = info.type_info.new_types
    assert types["id_t"].translated_type.sdn_bitwidth == 24
    assert types["port_name_t"].translated_type.HasField("sdn_string")
    assert types["plain_t"].original_type.bitstring.bit.bitwidth == 8
    assert len(info.type_info.serializable_enums["kind_t"].members) == 2


def test_extern_objects_digests_headers_and_package() -> None:
    made = compiled(
        types="""struct seen_t { bit<8> a; bit<16> b; }
            @controller_header("packet_in") header in_t { bit<9> port; @id(5) bit<7> pad; }""",
        locals="""counter(10, CounterType.bytes) c; meter(20, MeterType.packets) m;
            register<bit<48>>(30) r;""",
        apply="c.count(0); m.execute_meter<bit<8>>(1, meta.x); r.write(0, 1);"
        " digest<seen_t>(1, { meta.x, 16w2 });",
    )
    info = made.p4info
    assert info.pkg_info.arch == "v1model"
    assert (info.counters[0].size, info.counters[0].spec.unit) == (10, info.counters[0].spec.BYTES)
    assert (info.meters[0].size, info.meters[0].spec.unit) == (20, info.meters[0].spec.PACKETS)
    assert info.registers[0].type_spec.bitstring.bit.bitwidth == 48
    assert info.digests[0].preamble.name == "seen_t"
    assert [m.name for m in info.type_info.structs["seen_t"].members] == ["a", "b"]
    (header,) = info.controller_packet_metadata
    assert [(m.id, m.name, m.bitwidth) for m in header.metadata] == [(1, "port", 9), (5, "pad", 7)]


def test_nested_instances_prefix_names() -> None:
    info = compiled(
        globals="""control Inner(inout metadata meta)(bit<32> size) {
            counter(size, CounterType.packets) c;
            action a() { meta.x = 1; } table t { actions = { a; } default_action = a; }
            apply { t.apply(); c.count(1); } }""",
        locals='Inner(5) one; @name("two") Inner(6) second;',
        apply="one.apply(meta); second.apply(meta);",
    ).p4info
    assert [t.preamble.name for t in info.tables] == ["I.one.t", "I.two.t"]
    assert [(c.preamble.name, c.size) for c in info.counters] == [("I.one.c", 5), ("I.two.c", 6)]


def test_unapplied_tables_and_hidden_objects_are_left_out() -> None:
    info = compiled(
        locals="""action a() { } table used { actions = { a; } }
            table unused { actions = { a; } }
            @hidden table quiet { actions = { a; } }""",
        apply="used.apply(); quiet.apply();",
    ).p4info
    assert [t.preamble.alias for t in info.tables] == ["used"]


def test_conflicting_names_are_refused() -> None:
    found = errors(
        locals="""action a() { } @name("t") table t1 { actions = { a; } }
            @name("t") table t2 { actions = { a; } }""",
        apply="t1.apply(); t2.apply();",
    )
    assert any("conflicting control plane name: I.t" in message for _, message in found) or found


def test_the_text_form_starts_with_the_customary_header() -> None:
    text = p4info_text(compiled(apply="meta.x = 1;").p4info)
    assert text.startswith("# proto-file: p4/config/v1/p4info.proto\n# proto-message: ")
    assert 'arch: "v1model"' in text


# --- against the reference compiler ---


@pytest.mark.skipif(P4C is None, reason="p4c-bm2-ss is not on PATH")
@pytest.mark.parametrize("path", _programs(), ids=lambda p: p.stem)
def test_equal_to_the_reference_compiler(path: Path, tmp_path: Path) -> None:
    assert P4C is not None
    wanted = tmp_path / "reference.p4info.txtpb"
    include = ["-I", str(path.parent)]
    command = [P4C, *include, str(path), "-o", str(tmp_path / "r.json")]
    done = subprocess.run(
        [*command, "--p4runtime-files", str(wanted)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    made = compile_program(path, include_dirs=[path.parent], use_cache=False)
    assert made.p4info_text == wanted.read_text()
