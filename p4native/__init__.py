"""P4_16 toolchain: compiler to BMv2 JSON and P4Info, native switch with P4Runtime."""

__version__ = "0.1.0"
