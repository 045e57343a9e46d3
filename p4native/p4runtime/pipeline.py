"""A forwarding pipeline config, verified: P4Info and program bound, its tables ready.

It is made whole before anything changes, so a config that is refused leaves no trace. It takes
writes before it is live, which is how VERIFY_AND_SAVE and COMMIT work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from finsy.proto import p4r

from p4native.bmv2.node import BmvJsonError
from p4native.codegen.errors import CodegenError
from p4native.p4runtime.bind import Binding, header_fields
from p4native.p4runtime.entities.match import KeyCodec
from p4native.p4runtime.errors import invalid_argument
from p4native.p4runtime.fastpath import Encoder
from p4native.p4runtime.p4info import P4InfoIndex
from p4native.p4runtime.packetio import HeaderCodec
from p4native.switch.build import BuildError
from p4native.switch.device import Device, Pipeline, SwitchError
from p4native.switch.draft import Draft

_DEVICE_DATA_FIELD = 3
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class LoadedPipeline:
    """A config, its coders and the engine's state for it.

    Besides what the engine holds, it keeps what P4Runtime alone knows: digests, groups and clone
    sessions as written, which action profiles are programmed by one-shots, and how much of each
    selector's size its groups take.
    """

    def __init__(self, config: p4r.ForwardingPipelineConfig, state: Pipeline) -> None:
        """Bind `config` to the engine's `state`; INVALID_ARGUMENT if they do not fit."""
        self.config = config
        self.state = state
        self.info = P4InfoIndex(config.p4info)
        self.binding = Binding(self.info, state.program)
        self.encoder = Encoder(self.binding)
        self.packet_in = HeaderCodec(header_fields(self.info, state.program, "packet_in"))
        self.packet_out = HeaderCodec(header_fields(self.info, state.program, "packet_out"))
        self.keys = {
            table.info.id: KeyCodec(f"table {table.info.name}", table.fields, table.masked)
            for table in self.binding.tables.values()
        }
        self.member_keys = {
            vset.info.id: KeyCodec(f"value set {vset.info.name}", vset.fields, True)
            for vset in self.binding.value_sets.values()
        }
        self.digest_configs: dict[int, p4r.DigestEntry] = {}
        self.multicast_groups: dict[int, p4r.MulticastGroupEntry] = {}
        self.clone_sessions: dict[int, p4r.CloneSessionEntry] = {}
        self.members: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.groups: dict[tuple[int, int], p4r.ActionProfileGroup] = {}
        self.one_shots: dict[int, OneShots] = {}
        self.selector_sizes: Counter[int] = Counter()


class OneShots:
    """Ids for the members and groups that one-shot entries of a profile need.

    They are above all that clients choose in practice; the engine does not count them against the
    profile's size, for a MODIFY makes the new group before it drops the old one.
    """

    _FIRST = 0x8000_0000

    def __init__(self) -> None:
        """Start without any."""
        self.entries = 0
        self.members_of: dict[int, list[int]] = {}
        self.sizes: dict[int, int] = {}
        self._free: list[int] = []
        self._next = self._FIRST

    def take(self, draft: Draft) -> int:
        """Return an unused id."""
        if not self._free:
            self._next += 1
            self._free.append(self._next)
        number = self._free.pop()
        draft.on_refusal(lambda: self._free.append(number))
        return number

    def give(self, draft: Draft, number: int) -> None:
        """Take an id back."""
        self._free.append(number)
        draft.on_refusal(self._free.pop)

    def count(self, draft: Draft, more: int) -> None:
        """Note that there are so many more entries."""

        def undo() -> None:
            self.entries -= more

        self.entries += more
        draft.on_refusal(undo)

    def copy(self) -> OneShots:
        """Return an independent copy."""
        twin = OneShots()
        twin.entries, twin.members_of = self.entries, dict(self.members_of)
        twin.sizes = dict(self.sizes)
        twin._free, twin._next = self._free.copy(), self._next
        return twin


def load_pipeline(device: Device, config: p4r.ForwardingPipelineConfig) -> LoadedPipeline:
    """Compile and bind `config`, not live; INVALID_ARGUMENT says where the fault is."""
    if not config.HasField("p4info") or not config.p4_device_config:
        raise invalid_argument("config lacks its p4info or its p4_device_config (BMv2 JSON)")
    # The cheap half first: a faulty P4Info needs no compiler run.
    P4InfoIndex(config.p4info)
    try:
        state = device.prepare(device_json(config.p4_device_config))
    except (BmvJsonError, CodegenError) as error:
        raise invalid_argument(f"p4_device_config: {error}") from None
    except (SwitchError, BuildError) as error:
        raise invalid_argument(f"p4_device_config cannot be realised: {error}") from None
    try:
        return LoadedPipeline(config, state)
    except BaseException:
        state.close()
        raise


def device_json(blob: bytes) -> bytes:
    """Return the BMv2 JSON in a device config: plain, or in the older `p4.tmp.P4DeviceConfig`."""
    if blob.lstrip()[:1] == b"{":
        return blob
    for number, value in _wire_fields(blob):
        if number == _DEVICE_DATA_FIELD and isinstance(value, bytes):
            return value
    raise invalid_argument(
        "p4_device_config is neither BMv2 JSON nor a p4.tmp.P4DeviceConfig with device_data"
    )


def _wire_fields(blob: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (number, value) of the top-level fields of a protobuf message; stop at nonsense."""
    at = 0
    while at < len(blob):
        tag, at = _varint(blob, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(blob, at)
            yield tag >> 3, value
            continue
        size = {_FIXED64: 8, _FIXED32: 4}.get(kind, -1)
        if kind == _BYTES:
            size, at = _varint(blob, at)
        if not 0 <= size <= len(blob) - at:
            return
        yield tag >> 3, blob[at : at + size]
        at += size


def _varint(blob: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(blob) and shift < 64:
        byte = blob[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value, at
