"""P4_16 toolchain: compiler to BMv2 JSON and P4Info, native switch with P4Runtime."""
