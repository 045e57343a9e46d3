"""The JSON: what is written for each construct, as BMv2 reads it."""

from __future__ import annotations

from typing import Any

from tests.midend.programs import compiled


def primitives(json: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The primitives of an action; of the only hidden one for `hidden`."""
    if name == "hidden":
        (found,) = [a for a in json["actions"] if a["name"].startswith("test")]
    else:
        (found,) = [a for a in json["actions"] if a["name"] == name]
    return list(found["primitives"])


def ingress(json: dict[str, Any]) -> dict[str, Any]:
    """The ingress pipeline."""
    pipeline: dict[str, Any] = json["pipelines"][0]
    return pipeline


TABLE = "table t { key = { hdr.h.a : exact; } actions = { NoAction; } }"


def action(body: str, **parts: str) -> list[dict[str, Any]]:
    """The primitives of an action with this body."""
    locals_ = f"action a() {{ {body} }} table t {{ actions = {{ a; }} default_action = a; }}"
    made = compiled(locals=parts.pop("before", "") + locals_, apply="t.apply();", **parts)
    return primitives(made.json(), "I.a")


def test_arithmetic_is_cut_back_to_its_width() -> None:
    (assign,) = action("hdr.h.a = hdr.h.b + 3;")
    value = assign["parameters"][1]["value"]["value"]
    assert value["op"] == "&"
    assert value["right"] == {"type": "hexstr", "value": "0xff"}
    assert value["left"]["value"]["op"] == "+"


def test_signed_arithmetic_wraps_in_twos_complement() -> None:
    (assign,) = action("meta.i = meta.i - 1;", metadata="int<8> i;")
    value = assign["parameters"][1]["value"]["value"]
    assert value["op"] == "two_comp_mod"
    assert int(value["right"]["value"], 16) == 8


def test_saturation_is_a_cast() -> None:
    (assign,) = action("hdr.h.a = hdr.h.b |+| 200;")
    assert assign["parameters"][1]["value"]["value"]["op"] == "usat_cast"


def test_bools_are_converted_both_ways() -> None:
    (assign,) = action("meta.flag = hdr.h.a == 1;")
    value = assign["parameters"][1]["value"]["value"]
    assert value["op"] == "b2d"
    (other,) = action("meta.x = meta.flag ? 8w1 : 2;")
    assert other["parameters"][1]["value"]["value"]["cond"]["value"]["op"] == "d2b"


def _run(body: list[dict[str, Any]], decide: list[bool]) -> list[int]:
    """The indices of the primitives executed when the conditions turn out as given."""
    at, trace, answers = 0, [], iter(decide)
    while at < len(body):
        op = body[at]["op"]
        target = body[at]["parameters"][-1] if op.startswith("_jump") else None
        if op == "_jump" or (op == "_jump_if_zero" and not next(answers)):
            at = int(target["value"], 16)
            continue
        if op != "_jump_if_zero":
            trace.append(at)
        at += 1
    return trace


def test_conditions_in_actions_are_jumps() -> None:
    body = action("if (meta.flag) { meta.x = 1; } else { meta.x = 2; } meta.y = 3;")
    constants = {i: p["parameters"][1]["value"] for i, p in enumerate(body) if p["op"] == "assign"}
    assert [constants[i] for i in _run(body, [True])] == ["0x01", "0x03"]
    assert [constants[i] for i in _run(body, [False])] == ["0x02", "0x03"]


def test_return_in_an_action_jumps_to_its_end() -> None:
    body = action("if (meta.flag) { meta.x = 1; return; } meta.y = 3;")
    assert len(_run(body, [True])) == 1
    assert len(_run(body, [False])) == 1


def test_exit_ends_the_action_as_well() -> None:
    body = action("if (meta.flag) { exit; } meta.y = 3;")
    assert [body[i]["op"] for i in _run(body, [True])] == ["exit"]
    assert [body[i]["op"] for i in _run(body, [False])] == ["assign"]


def test_exit_writes_back_what_calls_would_have() -> None:
    json = compiled(
        locals="action a(inout bit<8> v, bit<8> w) { v = w; exit; }"
        " table t { key = { hdr.h.a : exact; } actions = { a(hdr.h.b); } }",
        apply="t.apply();",
    ).json()
    body = primitives(json, "I.a")
    ops = [p["op"] for p in body]
    written = [p["parameters"][0]["value"] for p in body[: ops.index("exit")]]
    assert ["h", "b"] in written


def test_table_branches_follow_hit_and_miss() -> None:
    table = "table t { key = { hdr.h.a : exact; } actions = { NoAction; } }"
    json = compiled(
        locals=table, apply="if (!t.apply().hit) { meta.x = 1; } else { meta.y = 2; }"
    ).json()
    (t,) = [t for t in ingress(json)["tables"] if t["name"] == "I.t"]
    assert set(t["next_tables"]) == {"__HIT__", "__MISS__"}
    assert t["base_default_next"] is None
    hidden = {x["name"]: x["actions"][0] for x in ingress(json)["tables"] if x["name"] != "I.t"}
    taken = primitives_of(json, hidden[t["next_tables"]["__MISS__"]])
    assert taken[0]["parameters"][0]["value"] == ["scalars", "userMetadata.x"]


def primitives_of(json: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The primitives of the action of that name."""
    return next(list(a["primitives"]) for a in json["actions"] if a["name"] == name)


def test_switch_on_the_action_that_ran() -> None:
    json = compiled(
        locals="""action a() { } action b() { }
            table t { key = { hdr.h.a : exact; } actions = { a; b; NoAction; }
                default_action = b; }""",
        apply="switch (t.apply().action_run) { a: { meta.x = 1; } default: { meta.x = 2; } }",
    ).json()
    t = next(t for t in ingress(json)["tables"] if t["name"] == "I.t")
    following = t["next_tables"]
    assert following["I.b"] == following["NoAction"] != following["I.a"]
    assert None not in following.values()


def test_return_skips_the_rest_of_the_control_only() -> None:
    json = compiled(
        globals="control Inner(inout metadata meta) { apply {"
        " if (meta.flag) { return; } meta.x = 1; } }",
        locals="Inner() inner;",
        apply="inner.apply(meta); meta.y = 2;",
    ).json()
    (condition,) = ingress(json)["conditionals"]
    last = condition["true_next"]
    first = next(t for t in ingress(json)["tables"] if t["name"] == condition["false_next"])
    assert first["base_default_next"] == last
    assert first["name"] != last


def test_entries_keep_their_order_and_masks() -> None:
    json = compiled(
        locals="""action a(bit<8> v) { meta.x = v; }
            table t { key = { hdr.h.a : ternary; hdr.h.c : range; hdr.h.b : exact; }
              actions = { a; }
              const entries = { (1 &&& 3, 5..9, 2) : a(10); (_, _, 3) : a(11); } }""",
        apply="t.apply();",
    ).json()
    t = next(t for t in ingress(json)["tables"] if t["name"] == "I.t")
    assert t["match_type"] == "range" and t["max_size"] == 2
    assert [e["priority"] for e in t["entries"]] == [1, 2]
    first, second = (e["match_key"] for e in t["entries"])
    assert (first[0]["key"], first[0]["mask"]) == ("0x01", "0x03")
    assert (first[1]["start"], first[1]["end"]) == ("0x0005", "0x0009")
    assert second[0]["mask"] == "0x00"
    assert (second[1]["start"], second[1]["end"]) == ("0x0000", "0xffff")


def test_larger_priorities_of_entries_win() -> None:
    json = compiled(
        locals="""action a(bit<8> v) { meta.x = v; }
            table t { key = { hdr.h.a : ternary; } actions = { a; }
              entries = { priority = 10 : 1 &&& 3 : a(1); priority = 30 : 1 &&& 7 : a(2); } }""",
        apply="t.apply();",
    ).json()
    t = next(t for t in ingress(json)["tables"] if t["name"] == "I.t")
    assert [e["priority"] for e in t["entries"]] == [2, 1]


def test_select_values_are_padded_to_bytes() -> None:
    json = compiled(
        types="header n_t { bit<12> l; bit<4> r; }",
        headers="n_t n;",
        parser="""state start { pkt.extract(hdr.n);
            transition select(hdr.n.l, hdr.n.r) { (0xaba, 3): more; (_, 1): accept; } }
            state more { transition accept; }""",
    ).json()
    start = json["parsers"][0]["parse_states"][0]
    values = [(t["type"], t["value"], t["mask"]) for t in start["transitions"]]
    assert values == [("hexstr", "0x0aba03", None), ("hexstr", "0x000001", "0x00000f")]


def test_stacks_unions_and_varbits() -> None:
    json = compiled(
        headers="u_t u; v_t v;",
        parser="""state start { pkt.extract(hdr.s.next); pkt.extract(hdr.v, 16);
            transition select(hdr.s.last.a) { 1: again; default: accept; } }
            state again { pkt.extract(hdr.u.h); transition accept; }""",
        deparser="pkt.emit(hdr);",
    ).json()
    ops = json["parsers"][0]["parse_states"][0]["parser_ops"]
    assert ops[0]["parameters"][0] == {"type": "stack", "value": "s"}
    assert ops[1]["op"] == "extract_VL"
    (stack,) = json["header_stacks"]
    assert (stack["name"], stack["size"], len(stack["header_ids"])) == ("s", 3, 3)
    (union,) = json["header_unions"]
    assert len(union["header_ids"]) == 2
    assert json["deparsers"][0]["order"] == ["h", "g", "s[0]", "s[1]", "s[2]", "u.h", "u.v", "v"]
    varbit = next(t for t in json["header_types"] if t["name"] == "v_t")
    assert varbit["fields"] == [["v", "*"]] and varbit["max_length"] == 8


def test_checksums_and_hashes() -> None:
    json = compiled(
        verify="verify_checksum(hdr.h.isValid(), { hdr.h.a, 8w1 }, hdr.h.c, HashAlgorithm.csum16);",
        compute="update_checksum_with_payload(true, { hdr.h.a }, hdr.h.c, HashAlgorithm.crc16);",
        apply="hash(meta.w, HashAlgorithm.crc32, 32w0, { hdr.h.a, meta.x }, 32w10);",
    ).json()
    update, verify = json["checksums"]
    assert (update["update"], verify["verify"]) == (True, True)
    calculations = {c["name"]: c for c in json["calculations"]}
    assert calculations[update["calculation"]]["input"][-1]["type"] == "payload"
    assert calculations[verify["calculation"]]["input"][1]["bitwidth"] == 8
    (hashing,) = primitives(json, "hidden")
    assert hashing["op"] == "modify_field_with_hash_based_offset"


def test_field_lists_come_from_annotations() -> None:
    json = compiled(
        metadata="@field_list(1, 2) bit<8> kept; @field_list(2) bit<8> also;",
        apply="clone_preserving_field_list(CloneType.I2E, 7, 2);",
    ).json()
    lists = {f["name"]: [e["value"][1] for e in f["elements"]] for f in json["field_lists"]}
    assert lists == {
        "field_list1": ["userMetadata.kept"],
        "field_list2": ["userMetadata.kept", "userMetadata.also"],
    }
    (clone,) = primitives(json, "hidden")
    assert clone["op"] == "clone_ingress_pkt_to_egress"


def test_direct_meters_write_where_the_action_reads_them() -> None:
    json = compiled(
        locals="""direct_meter<bit<8>>(MeterType.bytes) m;
            action a() { m.read(meta.x); }
            table t { key = { hdr.h.a : exact; } actions = { a; NoAction; } meters = m; }""",
        apply="t.apply();",
    ).json()
    (meter,) = json["meter_arrays"]
    assert meter["result_target"] == ["scalars", "userMetadata.x"]
    assert (meter["is_direct"], meter["binding"], meter["type"]) == (True, "I.t", "bytes")


def test_selectors_share_their_inputs() -> None:
    json = compiled(
        locals="""action_selector(HashAlgorithm.crc16, 64, 10) s;
            action a() { }
            table t { key = { hdr.h.a : exact; hdr.h.b : selector; } actions = { a; }
                implementation = s; }""",
        apply="t.apply();",
    ).json()
    (profile,) = ingress(json)["action_profiles"]
    assert profile["selector"] == {
        "algo": "crc16",
        "input": [{"type": "field", "value": ["h", "b"]}],
    }
    t = next(t for t in ingress(json)["tables"] if t["name"] == "I.t")
    assert (t["type"], len(t["key"])) == ("indirect_ws", 1)


def test_standard_metadata_has_its_names_inside_bmv2() -> None:
    json = compiled(apply="mark_to_drop(std);").json()
    aliases = dict(json["field_aliases"])
    assert aliases["intrinsic_metadata.mcast_grp"] == ["standard_metadata", "mcast_grp"]
    (drop,) = primitives(json, "hidden")
    assert drop["parameters"] == [{"type": "header", "value": "standard_metadata"}]


def test_places_in_the_source_are_told() -> None:
    json = compiled(apply="meta.x = 1;").json()
    (assign,) = primitives(json, "hidden")
    info = assign["source_info"]
    assert info["filename"] == "test.p4" and info["line"] > 1
    assert info["source_fragment"] == "meta.x = 1"


def test_a_condition_is_told_without_its_parenthesis() -> None:
    json = compiled(locals=TABLE, apply="if (meta.x == (8w1)) { t.apply(); }").json()
    (condition,) = ingress(json)["conditionals"]
    assert condition["source_info"]["source_fragment"] == "meta.x == (8w1)"


def test_tables_with_a_profile_have_no_content_of_their_own() -> None:
    """BMv2 does not load what has."""
    made = compiled(
        locals="action_profile(4) p; action a() { hdr.h.b = 1; }"
        " table t { key = { hdr.h.a : exact; } actions = { a; } implementation = p;"
        " const entries = { 1 : a(); } default_action = a(); }",
        apply="t.apply();",
    )
    (table,) = ingress(made.json())["tables"]
    assert table["type"] == "indirect"
    assert not {"entries", "default_entry"} & table.keys()
    assert all(f"'{what}' of table 'I.t' has no effect" in made.reporter.render()
               for what in ("entries", "default_action"))  # fmt: skip


def test_a_control_is_applied_several_times_in_a_deparser_and_over_checksums() -> None:
    json = compiled(
        globals="""control Put(packet_out pkt, in h_t h) { apply { pkt.emit(h); } }
            control Both(packet_out pkt, in h_t a, in h_t b) {
                Put() put;
                apply { put.apply(pkt, a); put.apply(pkt, b); }
            }
            control Sum(inout h_t h) {
                apply { update_checksum(true, { h.a, h.b }, h.c, HashAlgorithm.csum16); }
            }
            control Sums(inout headers hdr) {
                Sum() sum;
                apply { sum.apply(hdr.h); sum.apply(hdr.g); }
            }
            control Order(packet_out pkt, in headers hdr) {
                Both() both;
                apply { both.apply(pkt, hdr.h, hdr.g); both.apply(pkt, hdr.g, hdr.h); }
            }""",
        compute="Sums.apply(hdr);",
        deparser="Order.apply(pkt, hdr);",
    ).json()
    assert json["deparsers"][0]["order"] == ["h", "g", "g", "h"]
    assert [c["target"] for c in json["checksums"]] == [["h", "c"], ["g", "c"]]
