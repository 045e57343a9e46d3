"""Tables of any key, made without a program, and their naive model."""

from __future__ import annotations

import ctypes as c
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from p4native.switch import build, native
from p4native.switch.records import HEADER, Mode, Op, Status, pack_op, unpack_entry

HERE = Path(__file__).parent
EXACT, LPM, TERNARY, RANGE, OPTIONAL = range(5)
KINDS = {EXACT: 0, LPM: 1, TERNARY: 2, RANGE: 3, OPTIONAL: 2}


@lru_cache(maxsize=1)
def shim() -> c.CDLL:
    native.engine()
    source = HERE / "shim.c"
    key = build._digest(
        build._fingerprint(build.flags()), build._headers(), source.read_bytes(),
        (build.RUNTIME / "engine" / "internal.h").read_bytes(),
    )  # fmt: skip
    target = build.cache_dir() / f"shim-{key}.so"
    if not target.exists():
        subprocess.run(
            [*build.compiler(), *build.flags(), "-shared", "-I", build.RUNTIME / "include",
             source, "-o", target],
            check=True,
        )  # fmt: skip
    library = c.CDLL(str(target))
    library.shim_pipeline.restype = c.c_void_p
    library.shim_pipeline.argtypes = [c.c_uint32, c.c_uint32, c.c_void_p, c.c_void_p, c.c_uint32,
                                      c.c_uint32]  # fmt: skip
    library.shim_lookup.argtypes = [c.c_void_p, c.c_char_p, c.c_uint32, c.c_void_p]
    library.shim_lookup.restype = None
    library.shim_bench.argtypes = [c.c_void_p, c.c_char_p, c.c_uint32, c.c_uint32, c.c_void_p]
    library.shim_bench.restype = c.c_uint64
    library.shim_free.argtypes = [c.c_void_p]
    return library


@dataclass(frozen=True)
class Field:
    width: int
    match: int

    @property
    def size(self) -> int:
        return (self.width + 7) // 8


@dataclass(frozen=True)
class Rule:
    """Values per field; `second` is the mask, high bound or prefix length."""

    first: tuple[int, ...]
    second: tuple[int, ...]
    priority: int = 0


class Table:
    """One table in the engine."""

    def __init__(self, fields: Sequence[Field], size: int = 1 << 20, data_bytes: int = 8) -> None:
        self.fields = tuple(fields)
        matches = [f.match for f in fields]
        kind = max(KINDS[m] for m in matches)
        self.masked, self.prefixed = kind >= 2, kind == 1
        self.key_bytes = sum(f.size for f in fields)
        engine = native.engine()
        self._engine = engine
        self._device = engine.p4n_device_create(1, 0xFFFFFFFF, 511, 16)
        widths = (c.c_uint32 * len(fields))(*(f.width for f in fields))
        kinds = (c.c_uint32 * len(fields))(*matches)
        self._pipeline = shim().shim_pipeline(kind, len(fields), widths, kinds, size, data_bytes)
        self.data_bytes = data_bytes
        self.instance = engine.p4n_instance_create(
            self._device, engine.p4n_device_domain(self._device), self._pipeline
        )
        assert self.instance

    def close(self) -> None:
        self._engine.p4n_instance_destroy(self.instance)
        self._engine.p4n_device_destroy(self._device)
        shim().shim_free(self._pipeline)

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def key(self, values: Sequence[int]) -> bytes:
        return b"".join(v.to_bytes(f.size, "big") for f, v in zip(self.fields, values, strict=True))

    def record(self, op: Op, rule: Rule, data: int = 0) -> bytes:
        mask = b""
        if self.masked:
            masks = [
                _prefix_mask(f.width, s) if f.match == LPM else s
                for f, s in zip(self.fields, rule.second, strict=True)
            ]
            mask = self.key(masks)
        prefix = [s for f, s in zip(self.fields, rule.second, strict=True) if f.match == LPM]
        return pack_op(
            op, 0, key=self.key(rule.first), mask=mask,
            prefix_len=prefix[0] if self.prefixed else 0,
            priority=rule.priority if self.masked else 0,
            data=data.to_bytes(self.data_bytes, "big") if op is not Op.DELETE else b"",
        )  # fmt: skip

    def write(self, records: Sequence[bytes], mode: Mode = Mode.CONTINUE) -> list[Status]:
        return self.write_raw(records, mode)[0]

    def write_raw(
        self, records: Sequence[bytes], mode: Mode = Mode.CONTINUE
    ) -> tuple[list[Status], list[int]]:
        packed, n = b"".join(records), len(records)
        status, handles = (c.c_int32 * n)(), (c.c_uint64 * n)()
        done = self._engine.p4n_write(self.instance, packed, len(packed), n, mode, status, handles)
        assert done >= 0
        return [Status(s) for s in status], list(handles)

    def lookup(self, keys: Sequence[Sequence[int]]) -> list[int]:
        out = (c.c_int64 * len(keys))()
        shim().shim_lookup(self.instance, b"".join(map(self.key, keys)), len(keys), out)
        return list(out)

    def bench(self, keys: Sequence[Sequence[int]], rounds: int = 1) -> tuple[float, int]:
        """Nanoseconds per lookup, and hits."""
        hits = c.c_uint64(0)
        packed = b"".join(map(self.key, keys))
        ns = shim().shim_bench(self.instance, packed, len(keys), rounds, c.byref(hits))
        return ns / (len(keys) * rounds), hits.value

    def read(self) -> dict[int, int]:
        """Data by handle, of all entries."""
        found: dict[int, int] = {}
        following, count = c.c_uint32(0), c.c_uint32(0)
        buffer = c.create_string_buffer(1 << 16)
        while following.value != 0xFFFFFFFF:
            size = self._engine.p4n_read(
                self.instance, 0, c.byref(following), buffer, len(buffer), 100, c.byref(count)
            )
            view, at = memoryview(buffer)[:size], 0
            while at < size:
                length = HEADER.unpack_from(view, at)[0]
                entry = unpack_entry(view[at : at + length], self.key_bytes, self.masked)
                assert entry.handle not in found
                found[entry.handle] = int.from_bytes(entry.data, "big")
                at += length
        return found

    def count(self) -> int:
        return int(self._engine.p4n_entry_count(self.instance, 0))

    def bytes(self) -> int:
        return int(self._engine.p4n_table_bytes(self.instance, 0))


def _prefix_mask(width: int, length: int) -> int:
    return ((1 << length) - 1) << (width - length)


def normal(fields: Sequence[Field], rule: Rule) -> Rule:
    """The rule with don't-care bits zeroed: what identifies it."""
    first, second = list(rule.first), list(rule.second)
    for i, f in enumerate(fields):
        if f.match == EXACT:
            second[i] = (1 << f.width) - 1
        elif f.match == LPM:
            first[i] &= _prefix_mask(f.width, second[i])
        elif f.match in (TERNARY, OPTIONAL):
            first[i] &= second[i]
    return Rule(tuple(first), tuple(second), rule.priority)


def matches(fields: Sequence[Field], rule: Rule, key: Sequence[int]) -> bool:
    for f, a, b, k in zip(fields, rule.first, rule.second, key, strict=True):
        if f.match == RANGE:
            if not a <= k <= b:
                return False
        elif f.match == LPM:
            if k & _prefix_mask(f.width, b) != a & _prefix_mask(f.width, b):
                return False
        elif f.match == EXACT:
            if k != a:
                return False
        elif k & b != a & b:
            return False
    return True


class Model:
    """What a table does, by trying every rule."""

    def __init__(self, fields: Sequence[Field], size: int) -> None:
        self.fields, self.size = tuple(fields), size
        self.rules: dict[Rule, tuple[int, int]] = {}
        """rule to (handle, data)"""

    def apply(self, op: Op, rule: Rule, data: int) -> Status:
        if any(
            f.match == RANGE and a > b
            for f, a, b in zip(self.fields, rule.first, rule.second, strict=True)
        ):
            return Status.BAD_RECORD
        rule = normal(self.fields, rule)
        held = self.rules.get(rule)
        if op is Op.INSERT:
            if held is not None:
                return Status.EXISTS
            if len(self.rules) >= self.size:
                return Status.FULL
            used = {h for h, _ in self.rules.values()}
            self.rules[rule] = (next(i for i in range(self.size + 1) if i not in used), data)
            return Status.OK
        if held is None:
            return Status.MISSING
        if op is Op.MODIFY:
            self.rules[rule] = (held[0], data)
        else:
            del self.rules[rule]
        return Status.OK

    def lookup(self, key: Sequence[int]) -> int:
        best: tuple[int, int, int] | None = None
        for rule, (handle, _) in self.rules.items():
            if not matches(self.fields, rule, key):
                continue
            lengths = [b for f, b in zip(self.fields, rule.second, strict=True) if f.match == LPM]
            rank = (
                -rule.priority if rule.priority else -sum(lengths), handle, 0
            )  # fmt: skip
            if best is None or rank < best:
                best = rank
        return -1 if best is None else best[1]
