"""One client's StreamChannel: what it sends is handled here, what it gets leaves by its outbox."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

import grpc
from finsy.proto import p4r, rpc_code
from google.protobuf.message import DecodeError

from p4native.p4runtime.errors import (
    P4RuntimeError,
    failed_precondition,
    invalid_argument,
    not_found,
    permission_denied,
    unimplemented,
)
from p4native.p4runtime.outbox import Outbox
from p4native.p4runtime.packetio import PACKET
from p4native.p4runtime.roles import RoleScope
from p4native.p4runtime.target import Target

_log = logging.getLogger(__name__)


class StreamSession:
    """A stream from its first message to its end; it belongs to one device once arbitrated."""

    def __init__(self, targets: Mapping[int, Target]) -> None:
        """Serve a stream that may name any of `targets`, by device id."""
        self.outbox = Outbox()
        self._targets = targets
        self._target: Target | None = None

    def consume(self, requests: Iterator[bytes]) -> None:
        """Handle encoded requests until the client is done or lost, or must be cut off."""
        failure = None
        try:
            for raw in requests:
                if not self._forward(raw):
                    self._handle(_decode(raw))
        except P4RuntimeError as error:
            failure = error
        except grpc.RpcError:
            _log.debug("stream lost")
        except Exception:  # noqa: BLE001 - the stream must end with a status, whatever went wrong
            _log.exception("stream failed")
            failure = P4RuntimeError(rpc_code.INTERNAL, "server fault; see the switch's log")
        finally:
            self.outbox.close(failure)
            self.end()

    def end(self) -> None:
        """Leave the arbitration; may be called more than once."""
        if self._target is not None:
            self._target.arbiter.leave(self.outbox)

    def _forward(self, raw: bytes) -> bool:
        """Send a packet-out of the usual form; whether it was one, from the primary."""
        target = self._target
        if target is None or not raw.startswith(PACKET):
            return False
        if target.arbiter.primary_scope(self.outbox) is None:
            return False
        return target.usual_packet_out(raw)

    def _handle(self, request: p4r.StreamMessageRequest) -> None:
        kind = request.WhichOneof("update")
        if kind == "arbitration":
            self._arbitrate(request.arbitration)
            return
        try:
            if kind == "packet":
                self._primary()[0].packet_out(request.packet)
            elif kind == "digest_ack":
                self._acknowledge(request.digest_ack)
            elif kind == "other":
                raise unimplemented(f"stream message of type {request.other.type_url!r}")
            else:
                raise invalid_argument("stream message without an update")
        except P4RuntimeError as error:
            self.outbox.send(_stream_error(error, request))

    def _arbitrate(self, update: p4r.MasterArbitrationUpdate) -> None:
        if self._target is None:
            target = self._targets.get(update.device_id)
            if target is None:
                raise not_found(
                    f"device {update.device_id} is not here; known: {sorted(self._targets)}"
                )
            target.arbiter.arbitrate(self.outbox, update)
            self._target = target
        else:
            self._target.arbiter.arbitrate(self.outbox, update)

    def _acknowledge(self, ack: p4r.DigestListAck) -> None:
        target, scope = self._primary()
        if not scope.allows(ack.digest_id):
            raise permission_denied(
                f"digest 0x{ack.digest_id:08x} is outside of this client's role"
            )
        target.digest_ack(ack)

    def _primary(self) -> tuple[Target, RoleScope]:
        """Return the target and the scope of the stream's role, of which it must be the primary."""
        if self._target is None:
            raise failed_precondition("no arbitration update was sent on this stream")
        scope = self._target.arbiter.primary_scope(self.outbox)
        if scope is None:
            raise permission_denied("only the primary client may send this; arbitrate first")
        return self._target, scope


def _decode(raw: bytes) -> p4r.StreamMessageRequest:
    try:
        request: p4r.StreamMessageRequest = p4r.StreamMessageRequest.FromString(raw)
    except DecodeError:
        raise invalid_argument("not a p4.v1.StreamMessageRequest message") from None
    return request


def _stream_error(
    error: P4RuntimeError, request: p4r.StreamMessageRequest
) -> p4r.StreamMessageResponse:
    message = p4r.StreamError(canonical_code=error.code, message=error.message)
    kind = request.WhichOneof("update")
    if kind == "packet":
        message.packet_out.packet_out.CopyFrom(request.packet)
    elif kind == "digest_ack":
        message.digest_list_ack.digest_list_ack.CopyFrom(request.digest_ack)
    else:
        message.other.SetInParent()
        if kind == "other":
            message.other.other.CopyFrom(request.other)
    return p4r.StreamMessageResponse(error=message)
