// Plain and serializable enums, booleans as fields, error values in tables of comparison (7.2.1).
#include "include/probe.p4"

enum Shape {
    CIRCLE,
    SQUARE,
    LINE
}

enum bit<8> Code {
    LOW = 0x10,
    HIGH = 0xf0
}

control Feature(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        sm.egress_spec = 2;
        Shape shape = Shape.LINE;
        Code code = (Code)hdr.probe.op;
        if (code == Code.LOW) {
            shape = Shape.CIRCLE;
        } else if (code == Code.HIGH) {
            shape = Shape.SQUARE;
        }
        bool round = shape == Shape.CIRCLE;
        bit<1> as_bit = (bit<1>)round;
        hdr.probe.flags = 7w0 ++ as_bit;
        if (shape != Shape.LINE) {
            hdr.probe.r = (bit<32>)(bit<8>)code;
        }
        error problem = error.NoError;
        if (problem == sm.parser_error && (bool)hdr.probe.a[0:0]) {
            hdr.probe.tag = 0x1111;
        }
    }
}

PROBE_SWITCH(Feature)
