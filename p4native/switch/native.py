"""The engine's C functions, by ctypes: prototypes only, no policy."""

from __future__ import annotations

import ctypes as c
from functools import lru_cache
from pathlib import Path

from p4native.switch import build

ABI_VERSION = 1


class MeterConfigC(c.Structure):
    """struct p4n_meter_config."""

    _fields_ = [
        ("cir", c.c_int64),
        ("cburst", c.c_int64),
        ("pir", c.c_int64),
        ("pburst", c.c_int64),
        ("eburst", c.c_int64),
    ]


class GroupMemberC(c.Structure):
    """struct p4n_group_member."""

    _fields_ = [("member", c.c_uint32), ("weight", c.c_uint32), ("watch", c.c_uint32)]


class IdleC(c.Structure):
    """struct idle."""

    _fields_ = [("table", c.c_uint32), ("handle", c.c_uint32)]


_P, _U32, _U64, _I32, _BYTES, _SIZE = (
    c.c_void_p, c.c_uint32, c.c_uint64, c.c_int, c.c_char_p, c.c_size_t
)  # fmt: skip
_METER = c.POINTER(MeterConfigC)
_U32P, _U64P = c.POINTER(_U32), c.POINTER(_U64)

_PROTOTYPES: dict[str, tuple[object, tuple[object, ...]]] = {
    "p4n_device_create": (_P, (_U32, _U32, _U32, _U32)),
    "p4n_device_domain": (_P, (_P,)),
    "p4n_device_start": (_I32, (_P,)),
    "p4n_device_stop": (None, (_P,)),
    "p4n_device_destroy": (None, (_P,)),
    "p4n_device_commit": (_P, (_P, _P)),
    "p4n_device_drops": (_U32, (_P, _U64P)),
    "p4n_port_add": (_I32, (_P, _U32, _BYTES, _BYTES, c.c_bool)),
    "p4n_port_remove": (_I32, (_P, _U32)),
    "p4n_port_state": (_I32, (_P, _U32)),
    "p4n_port_force": (_I32, (_P, _U32, c.c_bool)),
    "p4n_port_read_stats": (_I32, (_P, _U32, _U64P)),
    "p4n_bench": (None, (_P, _BYTES, _U32P, _U32P, _U32, _U64, c.c_bool, _U64P)),
    "p4n_inject": (_I32, (_P, _U32, _BYTES, _U32, c.c_bool)),
    "p4n_packet_in_wait": (_SIZE, (_P, _U64, _P, _SIZE, _U32)),
    "p4n_memory_wait": (_SIZE, (_P, _U64, _P, _SIZE, _U32)),
    "p4n_log_wait": (_SIZE, (_P, _U64, _P, _SIZE, _U32)),
    "p4n_packet_in_dropped": (_U64, (_P,)),
    "p4n_instance_create": (_P, (_P, _P, _P)),
    "p4n_instance_destroy": (None, (_P,)),
    "p4n_write": (c.c_int64, (_P, _BYTES, _SIZE, _U32, _I32, _P, _P)),
    "p4n_read": (_SIZE, (_P, _U32, _U32P, _P, _SIZE, _U32, _U32P)),
    "p4n_read_one": (_SIZE, (_P, _BYTES, _P, _SIZE)),
    "p4n_entry_count": (_U32, (_P, _U32)),
    "p4n_table_bytes": (_U64, (_P, _U32)),
    "p4n_sweep_idle": (_U32, (_P, c.POINTER(IdleC), _U32, _U32)),
    "p4n_member_next": (_I32, (_P, _U32, _U32P, _U32P, _P)),
    "p4n_group_next": (_I32, (_P, _U32, _U32P, _U32P, c.POINTER(GroupMemberC), _U32)),
    "p4n_counter_read": (c.c_bool, (_P, _U32, _U64, _U64, _U64P)),
    "p4n_meter_get": (c.c_bool, (_P, _U32, _U64, _U64, _METER, c.POINTER(c.c_bool))),
    "p4n_meter_marks": (c.c_bool, (_P, _U32, _U64, _U64, _U64P)),
    "p4n_register_read": (c.c_bool, (_P, _U32, _U64, _U64, _P)),
    "p4n_digest_ack": (None, (_P, _U32, _U64)),
    "p4n_digest_wait": (_U32, (_P, _U64, _U32P, _U64P, _P, _SIZE)),
    "p4n_digest_close": (None, (_P,)),
}


@lru_cache(maxsize=1)
def engine() -> c.CDLL:
    """Return the engine, built and loaded at the first call; pipelines link against it."""
    library = c.CDLL(str(build.engine_library()), mode=c.RTLD_GLOBAL)
    for name, (result, arguments) in _PROTOTYPES.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def load_pipeline(path: Path) -> tuple[c.CDLL, int]:
    """Return a pipeline's library and the address of its descriptor."""
    engine()
    library = c.CDLL(str(path))
    descriptor = c.c_uint32.in_dll(library, "p4n_pipeline")
    if descriptor.value != ABI_VERSION:
        raise build.BuildError(
            f"{path}: made for engine interface {descriptor.value}, this is {ABI_VERSION}"
        )
    return library, c.addressof(descriptor)
