"""Packets between the wire and the program: the short way gives what protobuf would."""

from __future__ import annotations

import pytest
from finsy.proto import p4r
from hypothesis import given
from hypothesis import strategies as st

from p4native.p4runtime.bind import BoundField
from p4native.p4runtime.errors import P4RuntimeError
from p4native.p4runtime.packetio import HeaderCodec

FIELDS = tuple(
    BoundField(id=number, name=f"f{number}", width=width, kind=0, offset=0, size=(width + 7) // 8)
    for number, width in ((1, 9), (2, 16), (7, 7))
)
VALUES = st.tuples(*(st.integers(0, 2**field.width - 1) for field in FIELDS))
PAYLOADS = st.binary(max_size=300)


@pytest.fixture(scope="module", params=[FIELDS, ()], ids=["fields", "empty"])
def codec(request: pytest.FixtureRequest) -> HeaderCodec:
    return HeaderCodec(request.param)


@given(frame=st.binary(max_size=300))
def test_packet_ins_are_encoded_as_protobuf_does(codec: HeaderCodec, frame: bytes) -> None:
    message = p4r.StreamMessageResponse(packet=codec.unpack(frame))
    for _ in range(2):  # at first, and remembered
        assert p4r.StreamMessageResponse.FromString(codec.packet_in(frame)) == message


def packet_out(values: tuple[int, ...], payload: bytes) -> p4r.StreamMessageRequest:
    request = p4r.StreamMessageRequest(packet=p4r.PacketOut(payload=payload))
    for field, value in zip(FIELDS, values, strict=False):
        data = value.to_bytes(field.size, "big")
        request.packet.metadata.add(metadata_id=field.id, value=data)
    return request


@given(values=VALUES, payload=PAYLOADS)
def test_usual_packet_outs_take_the_short_way(values: tuple[int, ...], payload: bytes) -> None:
    codec = HeaderCodec(FIELDS)
    request = packet_out(values, payload)
    frame = codec.pack(request.packet.metadata) + payload
    for _ in range(2):
        found = codec.packet_out(request.SerializeToString())
        assert found == (frame if payload else None)


@given(
    raw=st.one_of(
        st.binary(max_size=60),
        st.binary(max_size=60).map(lambda rest: b"\x12" + bytes([len(rest)]) + rest),
        st.builds(
            lambda values, payload, cut: packet_out(values, payload).SerializeToString()[:cut],
            VALUES, PAYLOADS, st.integers(0, 400),
        ),
    )
)  # fmt: skip
def test_what_takes_the_short_way_is_what_protobuf_reads(raw: bytes) -> None:
    codec = HeaderCodec(FIELDS)
    frame = codec.packet_out(raw) if raw.startswith(b"\x12") else None
    if frame is not None:
        packet = p4r.StreamMessageRequest.FromString(raw).packet
        assert frame == codec.pack(packet.metadata) + packet.payload


@pytest.mark.parametrize(
    "metadata", [[], [(1, b"\1")], [(1, b"\1"), (2, b"\1"), (7, b"\xff")], [(9, b"\1")]]
)
def test_wrong_metadata_is_left_to_the_long_way(metadata: list[tuple[int, bytes]]) -> None:
    codec = HeaderCodec(FIELDS)
    request = p4r.StreamMessageRequest(packet=p4r.PacketOut(payload=b"x"))
    for number, value in metadata:
        request.packet.metadata.add(metadata_id=number, value=value)
    assert codec.packet_out(request.SerializeToString()) is None
    with pytest.raises(P4RuntimeError):
        codec.pack(request.packet.metadata)
