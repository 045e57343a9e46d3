/*
 * The v1model architecture, as BMv2's simple_switch implements it.
 *
 * V1MODEL_VERSION selects the dialect: from 20200408 on, ports have the type PortId_t and the
 * indices of counters, meters and registers are generic.
 */

#ifndef _V1_MODEL_P4_
#define _V1_MODEL_P4_

#include "core.p4"

#ifndef V1MODEL_VERSION
#define V1MODEL_VERSION 20180101
#endif

#if V1MODEL_VERSION >= 20200408
#define _V1MODEL_GENERIC_INDEX 1
#endif

match_kind {
    range,     // between two bounds, entries have priorities
    optional,  // exact or anything
    selector   // not matched: input of an action selector's hash
}

const bit<32> __v1model_version = V1MODEL_VERSION;

#ifdef _V1MODEL_GENERIC_INDEX
typedef bit<9> PortId_t;
#endif

/// What simple_switch keeps with a packet. `@alias` names the field inside BMv2.
@metadata
@name("standard_metadata")
struct standard_metadata_t {
#ifdef _V1MODEL_GENERIC_INDEX
    PortId_t ingress_port;
    PortId_t egress_spec;
    PortId_t egress_port;
#else
    bit<9> ingress_port;
    bit<9> egress_spec;
    bit<9> egress_port;
#endif
    bit<32> instance_type;
    bit<32> packet_length;
    @alias("queueing_metadata.enq_timestamp")
    bit<32> enq_timestamp;
    @alias("queueing_metadata.enq_qdepth")
    bit<19> enq_qdepth;
    @alias("queueing_metadata.deq_timedelta")
    bit<32> deq_timedelta;
    @alias("queueing_metadata.deq_qdepth")
    bit<19> deq_qdepth;
    @alias("intrinsic_metadata.ingress_global_timestamp")
    bit<48> ingress_global_timestamp;
    @alias("intrinsic_metadata.egress_global_timestamp")
    bit<48> egress_global_timestamp;
    @alias("intrinsic_metadata.mcast_grp")
    bit<16> mcast_grp;
    @alias("intrinsic_metadata.egress_rid")
    bit<16> egress_rid;
    bit<1> checksum_error;
    error parser_error;
    @alias("intrinsic_metadata.priority")
    bit<3> priority;
}

enum CounterType {
    packets,
    bytes,
    packets_and_bytes
}

enum MeterType {
    packets,
    bytes
}

#ifdef _V1MODEL_GENERIC_INDEX

/// `size` counters indexed by a value of type I.
extern counter<I> {
    counter(bit<32> size, CounterType type);
    void count(in I index);
}

/// `size` meters; the colour read is 0 green, 1 yellow or 2 red.
extern meter<I> {
    meter(bit<32> size, MeterType type);
    void execute_meter<T>(in I index, out T result);
}

/// `size` cells of type T.
extern register<T, I> {
    register(bit<32> size);
    @noSideEffects
    void read(out T result, in I index);
    void write(in I index, in T value);
}

#else

/// `size` counters.
extern counter {
    counter(bit<32> size, CounterType type);
    void count(in bit<32> index);
}

/// `size` meters; the colour read is 0 green, 1 yellow or 2 red.
extern meter {
    meter(bit<32> size, MeterType type);
    void execute_meter<T>(in bit<32> index, out T result);
}

/// `size` cells of type T.
extern register<T> {
    register(bit<32> size);
    @noSideEffects
    void read(out T result, in bit<32> index);
    void write(in bit<32> index, in T value);
}

#endif

#define V1MODEL_METER_COLOR_GREEN  0
#define V1MODEL_METER_COLOR_YELLOW 1
#define V1MODEL_METER_COLOR_RED    2

/// One counter per entry of the table that names it in `counters`.
extern direct_counter {
    direct_counter(CounterType type);
    void count();
}

/// One meter per entry of the table that names it in `meters`.
extern direct_meter<T> {
    direct_meter(MeterType type);
    void read(out T result);
}

/// Members that several entries of a table share (`implementation`).
extern action_profile {
    action_profile(bit<32> size);
}

/// A random value between `lo` and `hi`, both included.
extern void random<T>(out T result, in T lo, in T hi);

/// Sends `data` to the control plane.
extern void digest<T>(in bit<32> receiver, in T data);

enum HashAlgorithm {
    crc32,
    crc32_custom,
    crc16,
    crc16_custom,
    random,
    identity,
    csum16,
    xor16
}

@deprecated("Please use mark_to_drop(standard_metadata) instead.")
extern void mark_to_drop();

/// Drops the packet at the end of ingress or egress unless something later forwards it.
@pure
extern void mark_to_drop(inout standard_metadata_t standard_metadata);

/// `base + hash(data) % max`, or `base` if `max` is 0.
@pure
extern void hash<O, T, D, M>(out O result, in HashAlgorithm algo, in T base, in D data, in M max);

/// An action profile whose groups choose a member by a hash of the `selector` keys.
extern action_selector {
    action_selector(HashAlgorithm algorithm, bit<32> size, bit<32> outputWidth);
}

enum CloneType {
    I2E,
    E2E
}

@deprecated("Please use verify_checksum/update_checksum instead.")
extern Checksum16 {
    Checksum16();
    bit<16> get<D>(in D data);
}

/// Sets `checksum_error` if `condition` holds and the checksum of `data` is not `checksum`.
extern void verify_checksum<T, O>(
    in bool condition, in T data, in O checksum, HashAlgorithm algo);

/// Stores the checksum of `data` in `checksum` if `condition` holds.
@pure
extern void update_checksum<T, O>(
    in bool condition, in T data, inout O checksum, HashAlgorithm algo);

/// Like verify_checksum, over `data` and all that follows the parsed headers.
extern void verify_checksum_with_payload<T, O>(
    in bool condition, in T data, in O checksum, HashAlgorithm algo);

/// Like update_checksum, over `data` and all that follows the parsed headers.
@noSideEffects
extern void update_checksum_with_payload<T, O>(
    in bool condition, in T data, inout O checksum, HashAlgorithm algo);

/// Copies the packet to the ports of a clone session.
extern void clone(in CloneType type, in bit<32> session);

@deprecated("Please use 'resubmit_preserving_field_list' instead")
extern void resubmit<T>(in T data);
/// Sends the original packet through the parser and ingress again, keeping @field_list fields.
extern void resubmit_preserving_field_list(bit<8> index);

@deprecated("Please use 'recirculate_preserving_field_list' instead")
extern void recirculate<T>(in T data);
/// Sends the deparsed packet through the parser and ingress again, keeping @field_list fields.
extern void recirculate_preserving_field_list(bit<8> index);

@deprecated("Please use 'clone_preserving_field_list' instead")
extern void clone3<T>(in CloneType type, in bit<32> session, in T data);

/// Like clone, keeping @field_list fields.
extern void clone_preserving_field_list(in CloneType type, in bit<32> session, bit<8> index);

/// Cuts the packet to at most `length` bytes.
extern void truncate(in bit<32> length);

/// Stops the switch, with a message, if `check` does not hold.
extern void assert(in bool check);
/// Like assert; tells verification tools what they may take for granted.
extern void assume(in bool check);

/// Writes to the switch's log; `{}` in the message stands for the next field of `data`.
extern void log_msg(string msg);
extern void log_msg<T>(string msg, in T data);

parser Parser<H, M>(
    packet_in b, out H parsedHdr, inout M meta, inout standard_metadata_t standard_metadata);

control VerifyChecksum<H, M>(inout H hdr, inout M meta);

@pipeline
control Ingress<H, M>(
    inout H hdr, inout M meta, inout standard_metadata_t standard_metadata);

@pipeline
control Egress<H, M>(
    inout H hdr, inout M meta, inout standard_metadata_t standard_metadata);

control ComputeChecksum<H, M>(inout H hdr, inout M meta);

@deparser
control Deparser<H>(packet_out b, in H hdr);

package V1Switch<H, M>(
    Parser<H, M> p,
    VerifyChecksum<H, M> vr,
    Ingress<H, M> ig,
    Egress<H, M> eg,
    ComputeChecksum<H, M> ck,
    Deparser<H> dep);

#endif  // _V1_MODEL_P4_
