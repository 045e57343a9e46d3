"""Each pass by a program before and after it."""

from __future__ import annotations

import pytest

from p4native.midend.passes import ELABORATE, PASSES, names
from p4native.midend.selects import masks
from tests.midend.programs import compiled, section


def ingress(after: str, **parts: str) -> list[str]:
    """The lines of the ingress apply block after a pass."""
    made = compiled(**parts).passes()
    text = made.dumps[after]
    return section(text[text.index("control ingress") :], "apply {")


def test_every_pass_is_named_once_and_explained() -> None:
    assert names()[0] == ELABORATE
    assert len(set(names())) == len(names())
    assert all(p.why for p in PASSES)


def test_elaboration_inlines_functions_with_constant_arguments() -> None:
    lines = ingress(
        "dead_code",
        globals="bit<8> twice(in bit<8> v) { return v + v; }",
        apply="meta.x = twice(hdr.h.a);",
    )
    assert lines == ["userMetadata.x = (h.a + h.a);"]


def test_elaboration_copies_in_and_out_where_arguments_overlap() -> None:
    lines = ingress(
        "dead_code",
        globals="void f(inout bit<8> p, in bit<8> q) { p = p + 1; p = p + q; }",
        apply="f(meta.x, meta.x);",
    )
    assert lines == [
        "p = (userMetadata.x + 1);",
        "p = (p + userMetadata.x);",
        "userMetadata.x = p;",
    ]


def test_elaboration_orders_side_effects_left_to_right() -> None:
    lines = ingress(
        "elaborate",
        globals="bit<8> bump(inout bit<8> v) { v = v + 1; return v; }",
        apply="meta.y = meta.x + bump(meta.x);",
    )
    saved = next(line for line in lines if line.endswith("= userMetadata.x;"))
    temp = saved.split(" = ")[0]
    assert any(line.startswith(f"userMetadata.y = ({temp} + ") for line in lines)


def test_elaboration_swaps_through_temporaries() -> None:
    lines = ingress(
        "dead_code",
        types="struct pair { bit<8> l; bit<8> r; }",
        metadata="pair p;",
        apply="meta.p = { meta.p.r, meta.p.l };",
    )
    assert lines[0] == "tmp = userMetadata.p.l;"
    assert lines[1:] == ["userMetadata.p.l = userMetadata.p.r;", "userMetadata.p.r = tmp;"]


def test_elaboration_unrolls_loops_with_known_bounds() -> None:
    lines = ingress(
        "dead_code", apply="for (bit<8> i = 0; i < 3; i = i + 1) { meta.x = meta.x + i; }"
    )
    assert lines == [
        "userMetadata.x = (userMetadata.x + 1);",
        "userMetadata.x = (userMetadata.x + 2);",
    ]


def test_elaboration_keeps_loops_with_unknown_bounds() -> None:
    lines = ingress(
        "dead_code", apply="for (bit<8> i = 0; i < meta.y; i = i + 1) { meta.x = meta.x + i; }"
    )
    assert any(line.startswith("for: loop") for line in lines)
    assert any("leave for" in line for line in lines)


def test_short_circuit_runs_the_right_side_only_if_needed() -> None:
    lines = ingress(
        "dead_code",
        globals="bool f(inout bit<8> v) { v = 1; return true; }",
        apply="if (meta.flag && f(meta.x)) { meta.y = 2; }",
    )
    assert lines[0] == "if (userMetadata.flag) {"
    inside = lines[1 : lines.index("} else {")]
    assert any("userMetadata.x = 1" in line for line in inside)


def test_copy_propagation_stops_at_writes() -> None:
    lines = ingress(
        "dead_code",
        apply="bit<8> t = meta.x; meta.x = 5; meta.y = t;",
    )
    assert lines == ["t = userMetadata.x;", "userMetadata.x = 5;", "userMetadata.y = t;"]


def test_copy_propagation_joins_branches() -> None:
    lines = ingress(
        "dead_code",
        apply="bit<8> t = 1; if (meta.flag) { t = 2; } meta.y = t;",
    )
    assert lines[-1] == "userMetadata.y = t;"


def test_dead_code_drops_unread_locals_and_code_behind_exit() -> None:
    lines = ingress("dead_code", apply="bit<8> unused = meta.x; exit; meta.y = 1;")
    assert lines == ["exit;"]


def test_switches_become_conditionals() -> None:
    lines = ingress(
        "switches",
        apply="switch (meta.x) { 1: 2: { meta.y = 1; } default: { meta.y = 2; } }",
    )
    assert "if (((userMetadata.x == 1) || (userMetadata.x == 2))) {" in lines


def test_parser_flow_makes_states_of_conditions() -> None:
    made = compiled(
        parser="""state start {
            pkt.extract(hdr.h);
            if (hdr.h.a == 1) { meta.x = 1; } else { meta.x = 2; }
            transition accept; }"""
    ).passes()
    text = made.dumps["parser_flow"]
    assert section(text, "state start_true {") == [
        "userMetadata.x = 1;",
        "transition start_join;",
    ]
    assert section(text, "state start_join {") == ["transition accept;"]


def test_sub_parsers_are_inlined() -> None:
    made = compiled(
        globals="""parser Sub(packet_in p, out h_t h) {
            state start { p.extract(h); transition accept; } }""",
        parser="""Sub() sub;
            state start { sub.apply(pkt, hdr.g); pkt.extract(hdr.h); transition accept; }""",
    ).passes()
    text = made.dumps["select_keys"]
    assert section(text, "state start {") == ["g.setInvalid();", "transition start_Sub;"]
    assert section(text, "state start_Sub_start {")[0] == "extract(g);"
    assert section(text, "state start_after_Sub {")[0] == "extract(h);"


@pytest.mark.parametrize("width", [3, 4])
def test_ranges_become_masks_that_cover_them_exactly(width: int) -> None:
    for low in range(1 << width):
        for high in range(low, 1 << width):
            pairs = list(masks(low, high, width))
            covered = [x for x in range(1 << width) for v, m in pairs if x & m == v]
            assert covered == sorted(covered)
            assert covered == list(range(low, high + 1))


def test_select_keys_are_simple() -> None:
    made = compiled(
        parser="""state start { pkt.extract(hdr.h);
            transition select(hdr.h.a + 1, hdr.h.b) { (1..2, _): more; default: accept; } }
            state more { pkt.extract(hdr.g); transition accept; }"""
    ).passes()
    lines = section(made.dumps["select_keys"], "state start {")
    assert "key = (h.a + 1);" in lines
    assert "transition select(key, h.b) {" in lines
    assert "(0x1 &&& 0xff, _): more;" in lines and "(0x2 &&& 0xff, _): more;" in lines


def test_table_keys_move_in_front_of_the_table() -> None:
    table = """table t { key = { hdr.h.a + 1 : exact @name("sum"); hdr.h.b : exact; }
        actions = { NoAction; } default_action = NoAction; }"""
    lines = ingress("table_keys", locals=table, apply="t.apply();")
    assert lines == ["key = (h.a + 1);", "I.t.apply();"]


def test_extern_arguments_are_plain() -> None:
    lines = ingress(
        "extern_args",
        locals="counter(16, CounterType.packets) c;",
        apply="c.count((bit<32>) hdr.h.a);",
    )
    assert lines == ["arg = ((bit<32>)h.a);", "I.c.count(arg);"]


def test_digests_of_one_type_share_their_fields() -> None:
    made = compiled(
        types="struct seen_t { bit<8> a; bit<8> b; }",
        apply="""if (meta.flag) { digest<seen_t>(1, {hdr.h.a, 3}); }
            else { digest<seen_t>(1, {hdr.h.b, 4}); }""",
    )
    json = made.json()
    assert [(x["name"], len(x["elements"])) for x in json["learn_lists"]] == [("seen_t", 2)]


def test_left_slices_write_the_whole_field() -> None:
    lines = ingress("left_slices", apply="hdr.h.c[11:4] = meta.x;")
    assert lines == ["h.c = ((h.c & 61455) | ((((bit<16>)userMetadata.x) << 4) & 4080));"]


def test_synthesize_leaves_tables_and_conditions_only() -> None:
    lines = ingress(
        "synthesize_actions",
        apply="meta.x = 1; if (meta.flag) { meta.y = 1; meta.x = 2; }",
    )
    assert lines[0].startswith("tbl_test") and lines[0].endswith(".apply();")
    assert lines[1] == "if (userMetadata.flag) {"
    assert len(lines) == 4


def test_layout_drops_unused_storage() -> None:
    made = compiled(apply="bit<8> gone; meta.x = 1;").passes()
    assert made.program is not None
    assert all(v.name != "gone" for v in made.program.variables)
    assert all(v.home is not None for v in made.program.variables)


def test_dumps_exist_for_every_pass() -> None:
    made = compiled(apply="meta.x = 1;").passes()
    assert list(made.dumps) == names()
