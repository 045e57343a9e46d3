"""A client of the control API: what the ``lab`` command and the lab's prompt talk through."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from control.errors import ControlError

ANSWER_S = 60


def segment(name: str) -> str:
    """A name as a part of a path, whatever it is made of: dots too could lead elsewhere."""
    return quote(name, safe="").replace(".", "%2E")


def default_socket() -> Path:
    """The control socket of this machine's lab."""
    return Path(os.environ.get("P4NIC_LAB_RUN", "/run/p4nic-lab")) / "control.sock"


class Client:
    """Calls the control API. Every failure is a ControlError with the controller's own words."""

    def __init__(self, socket: Path | None = None) -> None:
        self._socket = socket or default_socket()
        # No TLS on a unix socket: reading the certificates takes a tenth of a second per word.
        transport = httpx.HTTPTransport(uds=str(self._socket), verify=False)
        self._http = httpx.Client(transport=transport, base_url="http://lab", timeout=ANSWER_S)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, **query: Any) -> Any:
        """Look something up."""
        given = {key: value for key, value in query.items() if value is not None}
        return self._call("GET", path, params=given)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """Create something."""
        return self._call("POST", path, json=body)

    def put(self, path: str, body: dict[str, Any]) -> Any:
        """Set something."""
        return self._call("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """Remove something."""
        return self._call("DELETE", path)

    def stream(
        self, method: str, path: str, body: dict[str, Any] | None = None, **query: Any
    ) -> Iterator[dict[str, Any]]:
        """JSON objects as the controller sends them; an ``error`` among them is raised."""
        try:
            request = self._http.stream(method, path, json=body, params=query, timeout=None)
            with request as response:
                if response.is_error:
                    response.read()
                    raise ControlError(_reason(response))
                for line in response.iter_lines():
                    item = json.loads(line)
                    if "error" in item:
                        raise ControlError(item["error"])
                    yield item
        except httpx.TransportError as error:
            raise self._unreachable(error) from None

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        if not response.is_success:
            raise ControlError(_reason(response))
        if response.headers["content-type"].startswith("application/json"):
            return response.json()
        return response.text

    def _unreachable(self, error: httpx.TransportError) -> ControlError:
        if _denied(error):
            return ControlError(f"only root may talk to the lab at {self._socket}; use sudo")
        if isinstance(error, httpx.TimeoutException):
            return ControlError(
                f"the lab at {self._socket} has not answered within {ANSWER_S} s; look into its log"
            )
        if isinstance(error, (httpx.RemoteProtocolError, httpx.ReadError)):
            return ControlError(
                f"the lab at {self._socket} went away before it had answered; take it up again, "
                "with what was under way, with: make run ARGS=--resume"
            )
        return ControlError(f"no lab answers at {self._socket} ({error}); start one with: make run")


def _denied(error: BaseException | None) -> bool:
    """Whether an error comes from missing permissions."""
    while error is not None and not isinstance(error, PermissionError):
        error = error.__cause__ or error.__context__
    return error is not None


def _reason(response: httpx.Response) -> str:
    """What the controller says about a refused request."""
    try:
        body = response.json()
    except ValueError:
        return f"the controller failed ({response.status_code}); see the lab's log."
    if "error" in body:
        return str(body["error"])
    return f"the controller refused the request: {body.get('detail', body)}"
