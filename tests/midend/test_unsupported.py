"""What the target cannot do is an error at the right place, never wrong code."""

from __future__ import annotations

import pytest

from tests.midend.programs import errors, line_of, program

T = "table t { key = { hdr.h.a : exact; } actions = { NoAction; } } "

CASES = {
    "several successors": (
        {"locals": T, "apply": "if (meta.flag) { t.apply(); meta.x = 1; }\nelse { t.apply(); }"},
        "table t {",
        "different successors",
    ),
    "two lpm keys": (
        {
            "locals": "table t { actions = { NoAction; }"
            " key = { hdr.h.a : lpm;\nhdr.h.b : lpm; } }",
            "apply": "t.apply();",
        },
        "hdr.h.b : lpm",
        "more than one lpm",
    ),
    "odd header": (
        {"types": "header\nodd_t { bit<3> a; }", "headers": "odd_t o;"},
        "odd_t {",
        "multiple of 8 bits",
    ),
    "negative size": (
        {
            "locals": "table t { key = { hdr.h.a : exact; } actions = { NoAction; }\nsize = -1; }",
            "apply": "t.apply();",
        },
        "size = -1",
        "must not be negative",
    ),
    "message without its values": (
        {"apply": '\nlog_msg("{} of {}", { meta.x });'},
        "log_msg(",
        "has {} 2 times for 1 values",
    ),
    "wide shift": (
        {"apply": "meta.w = meta.w\n<< meta.w;"},
        "meta.w = meta.w",
        "shift amount",
    ),
    "division at run time": (
        {"apply": "meta.x = meta.x / 4; meta.x =\nmeta.x % meta.y;"},
        "meta.x = meta.x / 4",
        "'%' needs operands known at compile time",
    ),
    "division in a select": (
        {
            "parser": "state start { pkt.extract(hdr.h); transition select(\nhdr.h.a / 3)"
            " { 1: accept; default: reject; } }"
        },
        "hdr.h.a / 3",
        "'/' needs operands known at compile time",
    ),
    "ranges that multiply": (
        {
            "parser": "state start { pkt.extract(hdr.h); transition select(hdr.h.c, hdr.g.c,"
            " hdr.h.a) {\n(1..65534, 1..65534, 1..254): accept; default: reject; } }"
        },
        "(1..65534",
        "make 12600 values and masks, 10000 at the most",
    ),
    "digest of a header": (
        {"apply": "\ndigest(1, hdr.h);"},
        "digest(1",
        "not of the header 'h_t'",
    ),
    "register of structs": (
        {
            "types": "struct s_t { bit<8> a; }",
            "locals": "register<s_t>(4)\nr;",
            "apply": "s_t v = { 1 }; r.write(0, v);",
        },
        "r;",
        "only registers of bit or int",
    ),
    "endless register": (
        {"locals": "register<bit<8>>(\n-1) r;", "apply": "r.write(0, 1);"},
        "-1)",
        "size of a register must be below 2147483648, not 4294967295",
    ),
    "endless table": (
        {"locals": T.replace("} }", "}\nsize=1<<31; }"), "apply": "t.apply();"},
        "size=1<<31",
        "a table's size must be below 2147483648",
    ),
    "direct counter of two tables": (
        {
            "locals": "direct_counter(CounterType.bytes) c;"
            " table t { key = { hdr.h.a : exact; } actions = { NoAction; } counters = c; }"
            " table\nu { key = { hdr.h.b : exact; } actions = { NoAction; } counters = c; }",
            "apply": "t.apply(); u.apply();",
        },
        "u { key",
        "'I.c' is already the direct_counter of table 'I.t'",
    ),
    "counter array as a direct counter": (
        {
            "locals": "counter(4, CounterType.bytes) c; table t { key = { hdr.h.a : exact; }"
            " actions = { NoAction; }\ncounters = c; }",
            "apply": "t.apply();",
        },
        "counters = c",
        "property 'counters' must be a direct_counter, not a counter",
    ),
    "direct meter of no table": (
        {
            "locals": "direct_meter<bit<8>>(MeterType.bytes)\nm;"
            " action a() { m.read(meta.x); }"
            " table t { key = { hdr.h.a : exact; } actions = { a; } }",
            "apply": "t.apply();",
        },
        "m;",
        "no table has it as its 'meters' property",
    ),
    "computed checksum": (
        {"compute": "\nupdate_checksum(true, { hdr.h.a + 1 }, hdr.h.c, HashAlgorithm.csum16);"},
        "update_checksum(",
        "computations are not supported in update_checksum; compute it before",
    ),
    "statement in a checksum control": (
        {"compute": "\nmeta.x = 1;"},
        "meta.x = 1",
        "only calls of update_checksum",
    ),
    "condition in a deparser": (
        {"deparser": "\nif (hdr.h.a == 1) { pkt.emit(hdr.h); }"},
        "if (hdr.h.a",
        "not supported within a deparser",
    ),
    "header made in a deparser": (
        {"deparser": "h_t z = {\n1, 2, 3 }; pkt.emit(z);"},
        "h_t z = {",
        "not supported within a deparser",
    ),
    "bool action parameter": (
        {
            "locals": "action a(\nbool b) { }"
            " table t { key = { hdr.h.a : exact; } actions = { a; } }",
            "apply": "t.apply();",
        },
        "bool b)",
        "bit<> or int<>",
    ),
    "resubmit in egress": (
        {"egress": "\nresubmit_preserving_field_list(1);"},
        "resubmit_pres",
        "only be invoked in ingress",
    ),
    "profile without a name": (
        {
            "locals": "table t { key = { hdr.h.a : exact; } actions = { NoAction; }\n"
            "implementation = action_profile(4); }",
            "apply": "t.apply();",
        },
        "implementation =",
        "@name",
    ),
    "switch in an action": (
        {
            "locals": "action a() {\nswitch (meta.x) { 1: { meta.y = 1; } } }"
            " table t { actions = { a; } }",
            "apply": "t.apply();",
        },
        "switch (meta.x)",
        "not supported in actions",
    ),
    "table in a loop without known end": (
        {"locals": T, "apply": "\nfor (bit<8> i = 0; i < meta.x; i = i + 1) { t.apply(); }"},
        "for (bit<8>",
        "unrollable",
    ),
    "exit where the copies to make differ": (
        {
            "globals": "control Twice(inout bit<8> v) {\naction a() { v = 1;\nexit; }"
            " table t { actions = { a; } } apply { t.apply(); } }",
            "locals": "Twice() c;",
            "apply": "c.apply(meta.x); c.apply(meta.y);",
        },
        "exit; }",
        "applied at several places",
    ),
    "assignment by run-time index in a parser": (
        {
            "parser": "state start { pkt.extract(hdr.s.next);\nhdr.s[meta.x].a = 1;"
            " transition accept; }"
        },
        "hdr.s[meta.x].a",
        "a parser can only assign",
    ),
    "next is not readable": (
        {
            "parser": "state start { pkt.extract(hdr.s.next);\nmeta.x = hdr.s.next.a;"
            " transition accept; }"
        },
        "hdr.s.next.a",
        "not initialized",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_located_error(name: str) -> None:
    parts, place, message = CASES[name]
    found = errors(**parts)
    line = line_of(program(**parts), place)
    assert any(message in text for _, text in found), found
    assert (line, True) in {(at, message in text) for at, text in found}, (line, found)
