"""P4Runtime errors and their translation to gRPC statuses (spec, "Error Reporting Messages")."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from finsy.proto import p4r, rpc_code, rpc_status

_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
_ERROR_URL = "type.googleapis.com/p4.v1.Error"
# A status travels in HTTP/2 headers, which clients bound; long texts would push it over that bound.
_MESSAGE_LIMIT = 400


class P4RuntimeError(Exception):
    """A request, update or stream message that the server refuses.

    `code` is a canonical code (`google.rpc.Code`); the text says what was given, what was
    expected and what to do.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message[:_MESSAGE_LIMIT]


def invalid_argument(message: str) -> P4RuntimeError:
    """The message contradicts the P4Info or the specification."""
    return P4RuntimeError(rpc_code.INVALID_ARGUMENT, message)


def not_found(message: str) -> P4RuntimeError:
    """The device, role or entity does not exist."""
    return P4RuntimeError(rpc_code.NOT_FOUND, message)


def already_exists(message: str) -> P4RuntimeError:
    """An INSERT of something that is already there."""
    return P4RuntimeError(rpc_code.ALREADY_EXISTS, message)


def permission_denied(message: str) -> P4RuntimeError:
    """The client is not primary, or the entity is constant or outside of its role."""
    return P4RuntimeError(rpc_code.PERMISSION_DENIED, message)


def failed_precondition(message: str) -> P4RuntimeError:
    """The state of the device does not allow the request (no pipeline, object in use)."""
    return P4RuntimeError(rpc_code.FAILED_PRECONDITION, message)


def out_of_range(message: str) -> P4RuntimeError:
    """A byte string or an index does not fit."""
    return P4RuntimeError(rpc_code.OUT_OF_RANGE, message)


def resource_exhausted(message: str) -> P4RuntimeError:
    """A table, profile, value set, role or stream limit is reached."""
    return P4RuntimeError(rpc_code.RESOURCE_EXHAUSTED, message)


def unimplemented(message: str) -> P4RuntimeError:
    """An optional part of the specification that this server does not have."""
    return P4RuntimeError(rpc_code.UNIMPLEMENTED, message)


def unavailable(message: str) -> P4RuntimeError:
    """The server is going away."""
    return P4RuntimeError(rpc_code.UNAVAILABLE, message)


def internal(message: str) -> P4RuntimeError:
    """A fault of the server itself."""
    return P4RuntimeError(rpc_code.INTERNAL, message)


def grpc_code(code: int) -> grpc.StatusCode:
    """Return the gRPC status for a canonical code; unknown numbers become UNKNOWN."""
    return _STATUS_CODES.get(code, grpc.StatusCode.UNKNOWN)


def batch_status(what: str, results: Sequence[P4RuntimeError | None]) -> rpc_status.Status:
    """Return the UNKNOWN status of a batch with one `p4.v1.Error` per element, in order."""
    failed = sum(1 for result in results if result is not None)
    status = rpc_status.Status(
        code=rpc_code.UNKNOWN, message=f"{what}: {failed} of {len(results)} failed"
    )
    for result in results:
        detail = status.details.add(type_url=_ERROR_URL)
        if result is not None:
            error = p4r.Error(canonical_code=result.code, message=result.message)
            detail.value = error.SerializeToString()
    return status
