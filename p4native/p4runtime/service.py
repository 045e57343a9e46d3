"""The gRPC face: finds the device, checks the right to act, translates errors to statuses."""

from __future__ import annotations

import functools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import grpc
from finsy.proto import p4r
from google.protobuf.message import DecodeError

from p4native.p4runtime.errors import (
    P4RuntimeError,
    batch_status,
    grpc_code,
    invalid_argument,
    not_found,
    permission_denied,
    resource_exhausted,
    unavailable,
)
from p4native.p4runtime.fastpath import RawWrite
from p4native.p4runtime.read import read_pieces
from p4native.p4runtime.roles import role_key
from p4native.p4runtime.stream import StreamSession
from p4native.p4runtime.target import Target

API_VERSION = "1.5.0"
MAX_STREAMS = 512
"""Streams served at once over all devices; each keeps two threads."""

_log = logging.getLogger(__name__)
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


def _translated(handler: _Handler) -> _Handler:
    """Turn P4RuntimeError into its gRPC status, and a fault of ours into INTERNAL."""

    @functools.wraps(handler)
    def wrapper(self: P4RuntimeService, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return handler(self, request, context)
        except P4RuntimeError as error:
            context.abort(grpc_code(error.code), error.message)
        except Exception:
            if not context.code():
                _log.exception("%s failed", handler.__name__)
                context.abort(grpc.StatusCode.INTERNAL, "server fault; see the switch's log")
            raise

    return wrapper  # type: ignore[return-value]


class P4RuntimeService:
    """P4Runtime over any number of devices."""

    def __init__(self, targets: Mapping[int, Target]) -> None:
        """Serve `targets`, by device id."""
        self._targets = targets
        self._sessions: set[StreamSession] = set()
        self._ended: Counter[str] = Counter()
        self._lock = threading.Lock()

    @_translated
    def Capabilities(
        self, request: p4r.CapabilitiesRequest, _context: grpc.ServicerContext
    ) -> p4r.CapabilitiesResponse:
        """Answer with the API version; the device is checked when it is given."""
        if request.device_id:
            self._target(request.device_id)
        return p4r.CapabilitiesResponse(p4runtime_api_version=API_VERSION)

    @_translated
    def SetForwardingPipelineConfig(
        self, request: p4r.SetForwardingPipelineConfigRequest, _context: grpc.ServicerContext
    ) -> p4r.SetForwardingPipelineConfigResponse:
        """Verify, save or commit a pipeline on behalf of the primary."""
        target = self._target(request.device_id)
        with self._writing(target, request) as scope:
            if not scope.can_push_pipeline:
                raise permission_denied(f"role {request.role!r} may not push a pipeline")
            target.set_pipeline(request)
        return p4r.SetForwardingPipelineConfigResponse()

    @_translated
    def GetForwardingPipelineConfig(
        self, request: p4r.GetForwardingPipelineConfigRequest, _context: grpc.ServicerContext
    ) -> p4r.GetForwardingPipelineConfigResponse:
        """Return the pipeline config, whole or in part; unset before the first one."""
        return self._target(request.device_id).get_pipeline(request.response_type)

    @_translated
    def Write(self, raw: bytes, context: grpc.ServicerContext) -> p4r.WriteResponse:
        """Apply a batch on behalf of the primary; UNKNOWN with one error per update if any fail.

        The request comes as its bytes, see fastpath.py.
        """
        try:
            batch = RawWrite(raw)
        except DecodeError:
            raise invalid_argument("the request is not a p4.v1.WriteRequest message") from None
        request = batch.head
        target = self._target(request.device_id)
        role = role_key(request.role, request.role_id)
        with self._writing(target, request) as scope:
            results = target.write(batch, role, scope)
        if results is not None:
            _abort_batch(context, "Write", results)
        return p4r.WriteResponse()

    def Read(
        self, request: p4r.ReadRequest, context: grpc.ServicerContext
    ) -> Iterator[p4r.ReadResponse]:
        """Stream what was asked for in pieces, then a status per element if any failed."""
        opened = self._open_read(request, context)
        results = yield from read_pieces(opened)
        if results is not None:
            _abort_batch(context, "Read", results)

    @_translated
    def _open_read(self, request: p4r.ReadRequest, _context: grpc.ServicerContext) -> Any:
        target = self._target(request.device_id)
        return target.open_read(request)

    def StreamChannel(
        self, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        """Serve one client's stream, of encoded messages, until either side ends it."""
        session = StreamSession(self._targets)
        if not self._admit(session, context):
            error = resource_exhausted(f"{MAX_STREAMS} streams are open already")
            context.abort(grpc_code(error.code), error.message)
        name = f"p4rt-stream {context.peer()}"
        threading.Thread(target=session.consume, args=(requests,), name=name, daemon=True).start()
        try:
            yield from session.outbox
        except P4RuntimeError as error:
            context.abort(grpc_code(error.code), error.message)

    def end_streams(self) -> None:
        """End all streams with UNAVAILABLE: the server is about to stop."""
        with self._lock:
            sessions = [*self._sessions]
        for session in sessions:
            session.outbox.close(unavailable("the switch is stopping; connect again later"))

    def stats(self) -> dict[str, int]:
        """Return stream messages sent and dropped by kind since the start, and streams open now."""
        with self._lock:
            totals = Counter(self._ended)
            totals["streams"] = len(self._sessions)
            for session in self._sessions:
                totals.update(session.outbox.stats())
        return dict(totals)

    def _admit(self, session: StreamSession, context: grpc.ServicerContext) -> bool:
        """Count the stream in; its end, however it comes, counts it out and closes it."""

        def ended() -> None:
            session.outbox.close()
            session.end()
            with self._lock:
                self._sessions.discard(session)
                self._ended.update(session.outbox.stats())

        with self._lock:
            if len(self._sessions) >= MAX_STREAMS:
                return False
            self._sessions.add(session)
        if not context.add_callback(ended):
            ended()
        return True

    def _target(self, device_id: int) -> Target:
        target = self._targets.get(device_id)
        if target is None:
            raise not_found(f"device {device_id} is not here; known: {sorted(self._targets)}")
        return target

    def _writing(self, target: Target, request: Any) -> Any:
        election_id = request.election_id if request.HasField("election_id") else None
        role = role_key(request.role, request.role_id)
        return target.arbiter.writing(role, election_id)


def _abort_batch(context: grpc.ServicerContext, what: str, results: Any) -> None:
    status = batch_status(what, results)
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    context.set_trailing_metadata(details)
    context.abort(grpc.StatusCode.UNKNOWN, status.message)


def add_to_server(service: P4RuntimeService, server: grpc.Server) -> None:
    """Register the service; Write and the stream get their messages undecoded."""
    set_request = p4r.SetForwardingPipelineConfigRequest
    get_request = p4r.GetForwardingPipelineConfigRequest
    unary, pack = grpc.unary_unary_rpc_method_handler, _serialize
    handlers = {
        "Write": unary(service.Write, None, pack),
        "SetForwardingPipelineConfig": unary(
            service.SetForwardingPipelineConfig, set_request.FromString, pack
        ),
        "GetForwardingPipelineConfig": unary(
            service.GetForwardingPipelineConfig, get_request.FromString, pack
        ),
        "Capabilities": unary(service.Capabilities, p4r.CapabilitiesRequest.FromString, pack),
        "Read": grpc.unary_stream_rpc_method_handler(
            service.Read, p4r.ReadRequest.FromString, pack
        ),
        "StreamChannel": grpc.stream_stream_rpc_method_handler(service.StreamChannel, None, None),
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("p4.v1.P4Runtime", handlers),)
    )


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data
