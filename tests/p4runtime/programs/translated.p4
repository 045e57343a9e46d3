#include <core.p4>
#include <v1model.p4>
@p4runtime_translation("", string)
@p4runtime_translation_mappings({{"", 0}, {"default", 1}, {"vrf-7", 0x7}})
type bit<10> vrf_id_t;
@p4runtime_translation("ports", string)
type bit<9> port_id_t;
@p4runtime_translation("wide", bit<32>)
type bit<9> wide_t;
@controller_header("packet_in")
header packet_in_t { port_id_t ingress_port; bit<7> pad; }
@controller_header("packet_out")
header packet_out_t { wide_t egress_port; bit<7> pad; }
header ethernet_t { bit<48> dst; bit<48> src; bit<16> type; }
struct headers_t { packet_in_t packet_in; packet_out_t packet_out; ethernet_t ethernet; }
struct learn_t { bit<48> src; port_id_t port; wide_t wide; bit<16> type; }
struct metadata_t { vrf_id_t vrf; port_id_t port; wide_t wide; learn_t learn; }
parser P(packet_in p, out headers_t h, inout metadata_t m, inout standard_metadata_t s) {
    state start { m.vrf = (vrf_id_t) 0; m.port = (port_id_t) s.ingress_port; m.wide = (wide_t) s.ingress_port;
        transition select(s.ingress_port) { 510: out_; default: eth; } }
    state out_ { p.extract(h.packet_out); transition eth; }
    state eth { p.extract(h.ethernet); transition accept; }
}
control V(inout headers_t h, inout metadata_t m) { apply {} }
control I(inout headers_t h, inout metadata_t m, inout standard_metadata_t s) {
    register<port_id_t>(8) last_port;
    action drop() { mark_to_drop(s); }
    action to_port(port_id_t port) { s.egress_spec = (bit<9>) port; }
    action set_vrf(vrf_id_t vrf) { m.vrf = vrf; }
    action to_cpu() { s.egress_spec = 510; h.packet_in.setValid(); h.packet_in.ingress_port = m.port; h.packet_in.pad = 0; }
    action learn() { m.learn.src = h.ethernet.src; m.learn.port = m.port; m.learn.wide = m.wide; m.learn.type = h.ethernet.type;
        digest<learn_t>(1, m.learn); last_port.write(0, m.port); }
    table vrf_table { key = { m.port: exact @name("port"); } actions = { set_vrf; learn; NoAction; } default_action = NoAction(); size = 64; }
    table route_table { key = { m.vrf: exact @name("vrf"); h.ethernet.dst: ternary @name("dst"); m.port: optional @name("port"); }
        actions = { to_port; to_cpu; drop; } default_action = drop(); size = 64; }
    table wide_table { key = { m.wide: exact @name("wide"); } actions = { to_port; NoAction; } default_action = NoAction(); size = 8; }
    apply {
        if (h.packet_out.isValid()) { s.egress_spec = (bit<9>) h.packet_out.egress_port; h.packet_out.setInvalid(); exit; }
        vrf_table.apply(); route_table.apply(); wide_table.apply(); }
}
control E(inout headers_t h, inout metadata_t m, inout standard_metadata_t s) { apply {} }
control C(inout headers_t h, inout metadata_t m) { apply {} }
control D(packet_out p, in headers_t h) { apply { p.emit(h.packet_in); p.emit(h.ethernet); } }
V1Switch(P(), V(), I(), E(), C(), D()) main;
