/*
 * Core library of P4_16 (language specification 1.2.5, appendix D): what every architecture has.
 */

#ifndef _CORE_P4_
#define _CORE_P4_

/// Errors of the core library; programs may declare more.
error {
    NoError,
    PacketTooShort,        // extract, advance or lookahead beyond the end of the packet
    NoMatch,               // no case of a select matches
    StackOutOfBounds,      // element of a header stack that does not exist
    HeaderTooShort,        // more bits than a varbit field can hold
    ParserTimeout,         // the parser ran for too long
    ParserInvalidArgument  // a parser operation was given an unsupported value
}

/// The packet that a parser reads.
extern packet_in {
    /// Reads a fixed-size header and moves past it.
    void extract<T>(out T hdr);
    /// Reads a header with one varbit field of the given number of bits and moves past it.
    void extract<T>(out T variableSizeHeader, in bit<32> variableFieldSizeInBits);
    /// Reads a value without moving.
    T lookahead<T>();
    /// Moves forward by some bits.
    void advance(in bit<32> sizeInBits);
    /// The packet's length in bytes.
    bit<32> length();
}

/// The packet that a deparser writes.
extern packet_out {
    /// Appends a header if it is valid; structs, unions and stacks field by field.
    void emit<T>(in T hdr);
}

/// Continues if `check` holds, else sets the parser error and goes to `reject`.
extern void verify(in bool check, in error toSignal);

/// The action that does nothing.
@noWarn("unused")
action NoAction() {}

match_kind {
    exact,    // equality
    ternary,  // equality under a mask, entries have priorities
    lpm       // longest prefix
}

/// Refuses the program with `message` unless `check` holds; a compile-time constant.
extern bool static_assert(bool check, string message);
extern bool static_assert(bool check);

#endif  // _CORE_P4_
