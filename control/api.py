"""The control API: REST over the lab's unix socket, for the ``lab`` command and other clients."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict

from control.api_nic import add_nic_routes
from control.errors import ControlError, NicDownError, RefusedError
from control.migration.report import PhaseTime
from control.service import Controller

_STATUS = {RefusedError: 409, NicDownError: 503}


class Rule(BaseModel):
    """An ACL rule as given by a client; the controller validates the values."""

    model_config = ConfigDict(extra="forbid")
    name: str | None = None
    vm: str | None = None
    direction: str | None = None
    action: str | None = None
    protocol: str | None = None
    src: str | None = None
    dst: str | None = None
    src_ports: str | None = None
    dst_ports: str | None = None
    priority: int | None = None


class Move(BaseModel):
    """A migration to carry out; sizes in MiB, by default the VM's own."""

    model_config = ConfigDict(extra="forbid")
    vm: str
    server: str
    memory_mib: float | None = None
    dirty_mib_s: float | None = None


class Switch(BaseModel):
    """Something to turn on or off."""

    on: bool


def make_app(controller: Controller) -> FastAPI:
    """The API of one controller."""
    app = FastAPI(title="Hybrid NIC lab", docs_url="/docs")
    _add_errors(app)
    _add_views(app, controller)
    _add_changes(app, controller)
    add_nic_routes(app, controller)
    return app


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ControlError)
    async def refused(_request: Request, error: ControlError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, status_code=_STATUS.get(type(error), 400))


def _add_views(app: FastAPI, controller: Controller) -> None:
    """Routes that only look."""

    @app.get("/lab")
    async def lab() -> dict[str, Any]:
        return {"about": controller.about, "trace": controller.trace}

    @app.get("/servers")
    async def servers() -> list[dict[str, Any]]:
        return controller.servers()

    @app.get("/nics")
    async def nics() -> list[dict[str, Any]]:
        return controller.nics()

    @app.get("/nics/{nic}/endpoint")
    async def endpoint(nic: str) -> dict[str, Any]:
        return controller.endpoint(nic)

    @app.get("/vms")
    async def vms() -> list[dict[str, Any]]:
        return controller.vms()

    @app.get("/acl")
    async def acl() -> list[dict[str, Any]]:
        return controller.acl()

    @app.get("/stats")
    async def stats(vm: str | None = None) -> list[dict[str, Any]]:
        return await controller.stats(vm)

    @app.get("/state")
    async def state() -> PlainTextResponse:
        return PlainTextResponse(controller.document(), media_type="application/yaml")

    @app.get("/events")
    async def events(follow: bool = False) -> StreamingResponse:
        return _lines(_events(controller, follow=follow))


def _add_changes(app: FastAPI, controller: Controller) -> None:
    """Routes that change something."""

    @app.post("/acl")
    async def acl_add(rule: Rule) -> dict[str, str]:
        return {"name": await controller.acl_add(rule.model_dump())}

    @app.delete("/acl/{name:path}")
    async def acl_delete(name: str) -> dict[str, str]:
        await controller.acl_delete(name)
        return {"name": name}

    @app.post("/migrations")
    async def migrate(move: Move) -> StreamingResponse:
        return _lines(_told(_migration(controller, move)))

    @app.delete("/migrations/{vm:path}")
    async def abort(vm: str) -> dict[str, str]:
        controller.abort(vm)
        return {"vm": vm}

    @app.post("/evacuations/{server:path}")
    async def evacuate(server: str) -> StreamingResponse:
        outcomes = controller.evacuate(server)
        return _lines(_told({"outcome": asdict(outcome)} async for outcome in outcomes))

    @app.put("/trace")
    async def trace(switch: Switch) -> dict[str, bool]:
        controller.set_trace(switch.on)
        return {"on": switch.on}


async def _migration(controller: Controller, move: Move) -> AsyncIterator[dict[str, Any]]:
    """Phases of a migration as they end, then its report."""
    wishes = move.model_dump(exclude={"vm", "server"}, exclude_none=True)
    async for item in controller.migrate(move.vm, move.server, **wishes):
        yield {"phase" if isinstance(item, PhaseTime) else "report": asdict(item)}


async def _told(items: AsyncIterator[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    """The same, with an error as the last item: an answer that has begun has its status already."""
    try:
        async for item in items:
            yield item
    except ControlError as error:
        yield {"error": str(error)}


async def _events(controller: Controller, *, follow: bool) -> AsyncIterator[dict[str, Any]]:
    """Recent events, and those to come."""
    with controller.bus.subscribe() as queue:
        for event in list(controller.bus.recent):
            yield asdict(event)
        while follow:
            yield asdict(await queue.get())


def _lines(items: AsyncIterator[dict[str, Any]]) -> StreamingResponse:
    """A stream of JSON objects, one per line."""

    async def encoded() -> AsyncIterator[str]:
        async for item in items:
            yield json.dumps(item) + "\n"

    return StreamingResponse(encoded(), media_type="application/x-ndjson")


class ApiServer:
    """Serves the API on a unix socket that only its owner may use."""

    def __init__(self, controller: Controller, socket: Path) -> None:
        self._socket = socket
        config = uvicorn.Config(
            make_app(controller),
            uds=str(socket),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen; returns when clients can connect."""
        self._task = asyncio.create_task(self._server.serve(), name="control API")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise ControlError(f"the control API cannot listen at {self._socket}.")
            await asyncio.sleep(0.005)
        os.chmod(self._socket, 0o600)

    async def stop(self) -> None:
        """Stop listening and wait for the server's task."""
        self._server.should_exit = True
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
