"""The C encoder agrees with the Python one on every update, and takes any bytes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from finsy.proto import p4r
from google.protobuf.message import DecodeError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p4native.p4runtime.entities import oneshot, tables
from p4native.p4runtime.errors import P4RuntimeError
from p4native.p4runtime.fastpath import RawWrite
from p4native.p4runtime.pipeline import LoadedPipeline, load_pipeline
from p4native.switch.device import Device

from .conftest import PROGRAMS
from .programs import load_program
from .strategies import near_messages, table_entries

RUNTIME = Path(__file__).parents[2] / "p4native" / "runtime"
EXAMPLES = os.environ.get("P4RUNTIME_FUZZ_EXAMPLES")
QUICK = settings(
    max_examples=int(EXAMPLES or "300"),
    derandomize=EXAMPLES is None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@cache
def program() -> Any:
    return load_program(PROGRAMS / "entities.p4")


@pytest.fixture(scope="module")
def loaded() -> Iterator[LoadedPipeline]:
    device = Device(1)
    pipeline = load_pipeline(device, program().config())
    yield pipeline
    pipeline.state.close()
    device.stop()


def expected(loaded: LoadedPipeline, update: p4r.Update) -> bytes | None:
    """The record that Python makes, None if it refuses or treats the update apart."""
    entry = update.entity.table_entry
    table = loaded.binding.tables.get(entry.table_id)
    apart = (
        table is None
        or table.info.profile is not None
        or entry.is_default_action
        or not table.fields
        or oneshot.is_one_shot(loaded, update.type, entry)
        or (update.type == p4r.Update.MODIFY and not entry.HasField("action"))
    )
    if apart:
        return None
    try:
        return tables.encode_update(loaded, update.type, entry)
    except P4RuntimeError:
        return None


def fast(loaded: LoadedPipeline, update: p4r.Update) -> bytes | None:
    batch = RawWrite(p4r.WriteRequest(updates=[update]).SerializeToString())
    records, (mark,) = loaded.encoder.encode(batch, 0, 1)
    assert len(records) == mark
    return records or None


def damage(entry: p4r.TableEntry, cut: int, flips: list[tuple[int, int]]) -> bytes:
    update = p4r.Update(type=p4r.Update.INSERT, entity=p4r.Entity(table_entry=entry))
    raw = bytearray(p4r.WriteRequest(device_id=1, updates=[update] * 2).SerializeToString())
    for at, value in flips:
        raw[at % len(raw)] = value
    return bytes(raw[: cut % (len(raw) + 1)]) if cut % 2 else bytes(raw)


KINDS = st.sampled_from([0, 1, 2, 3, 4])


@QUICK
@given(kind=KINDS, entry=table_entries(program))
def test_valid_entries_take_the_fast_path(
    loaded: LoadedPipeline, kind: int, entry: p4r.TableEntry
) -> None:
    update = p4r.Update(type=kind, entity=p4r.Entity(table_entry=entry))  # type: ignore[arg-type]
    record = expected(loaded, update)
    assert fast(loaded, update) == record
    table = loaded.binding.tables[entry.table_id]
    if kind == p4r.Update.INSERT and table.info.profile is None and not table.info.const_entries:
        assert (record is not None) == bool(table.fields)


@QUICK
@given(kind=KINDS, entry=near_messages(table_entries(program)))
def test_nearly_valid_entries_agree(
    loaded: LoadedPipeline, kind: int, entry: p4r.TableEntry
) -> None:
    """What the fast path takes is what Python would have made; what it leaves may be either."""
    update = p4r.Update(type=kind, entity=p4r.Entity(table_entry=entry))  # type: ignore[arg-type]
    record = fast(loaded, update)
    if record is not None:
        assert record == expected(loaded, update)


@QUICK
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.builds(
            damage,
            table_entries(program),
            st.integers(0, 1 << 16),
            st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=3),
        ),
    )
)
def test_any_bytes_are_split_or_refused(loaded: LoadedPipeline, raw: bytes) -> None:
    try:
        whole = p4r.WriteRequest.FromString(raw)
    except DecodeError:
        whole = None
    try:
        batch = RawWrite(raw)
    except DecodeError:
        assert whole is None
        return
    loaded.encoder.encode(batch, 0, len(batch))
    if whole is not None:
        assert len(batch) == len(whole.updates)
        assert list(batch) == list(whole.updates)


def test_batch_fields_and_order_survive() -> None:
    request = p4r.WriteRequest(device_id=7, role="x", atomicity=2)  # type: ignore[arg-type]
    request.election_id.high = 5
    for kind in (1, 2, 3):
        request.updates.add(type=kind)  # type: ignore[arg-type]
    batch = RawWrite(request.SerializeToString())
    assert [update.type for update in batch] == [1, 2, 3]
    assert batch.head.device_id == 7
    assert batch.head.election_id.high == 5
    assert batch.head.atomicity == 2
    assert not batch.head.updates


@pytest.mark.slow
def test_encoder_under_address_sanitizer(tmp_path: Path, loaded: LoadedPipeline) -> None:
    """A mutating fuzzer on the C code alone, seeded with real batches, for a few seconds."""
    binary = tmp_path / "fuzz"
    flags = ["-std=gnu11", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"]
    source = Path(__file__).parent / "fuzz_encode.c"
    include = [f"-I{RUNTIME / folder}" for folder in ("include", "p4runtime")]
    subprocess.run(["cc", *flags, *include, source, "-o", binary], check=True)
    (tmp_path / "plan").write_bytes(bytes(loaded.encoder.plan))
    for number, seed in enumerate(seeds()):
        (tmp_path / f"seed{number}").write_bytes(seed)
    names = [str(path) for path in sorted(tmp_path.glob("seed*"))]
    seconds = os.environ.get("P4RUNTIME_FUZZ_SECONDS", "3")
    done = subprocess.run(
        [binary, seconds, tmp_path / "plan", *names], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout)["runs"] > 1000


def seeds() -> list[bytes]:
    """A batch with one entry per table and action."""
    found = []
    for table in program().info.tables:
        request = p4r.WriteRequest(device_id=1)
        for ref in table.action_refs:
            entry = p4r.TableEntry(table_id=table.preamble.id, priority=5, metadata=b"note")
            for field in table.match_fields:
                match = entry.match.add(field_id=field.id)
                if field.match_type == 2:
                    match.exact.value = b"\1"
                elif field.match_type == 3:
                    match.lpm.value, match.lpm.prefix_len = b"\1\0\0\0", 8
                elif field.match_type == 4:
                    match.ternary.value = match.ternary.mask = b"\1"
                elif field.match_type == 5:
                    match.range.low, match.range.high = b"\1", b"\2"
                else:
                    match.optional.value = b"\1"
            action = next(a for a in program().info.actions if a.preamble.id == ref.id)
            entry.action.action.action_id = ref.id
            for param in action.params:
                entry.action.action.params.add(param_id=param.id, value=b"\1")
            request.updates.add(type=p4r.Update.INSERT).entity.table_entry.CopyFrom(entry)
        found.append(request.SerializeToString())
    return found
