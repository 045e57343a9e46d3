"""Routes of the control API for VF settings, documents, explanations, drops and connections."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from control.operations import Operations
from control.service import Controller


class Setting(BaseModel):
    """One VF setting and its new value, as the operator writes them."""

    setting: str
    value: str


class Document(BaseModel):
    """A desired state, and the file name for messages."""

    text: str
    name: str = "document"
    dry_run: bool = False


class Packet(BaseModel):
    """A packet that a VM sends, such as ``tcp 10.0.0.1:40000 > 10.0.0.2:80``."""

    vm: str
    packet: str


def add_nic_routes(app: FastAPI, controller: Controller) -> None:
    """Add the routes to the API of one controller."""
    operations = Operations(controller)

    @app.get("/vf")
    async def vf_show(vm: str | None = None) -> list[dict[str, Any]]:
        return operations.vf_show(vm)

    @app.put("/vf/{vm:path}")
    async def vf_set(vm: str, setting: Setting) -> dict[str, str]:
        await operations.vf_set(vm, setting.setting, setting.value)
        return {"vm": vm, setting.setting: setting.value}

    @app.post("/apply")
    async def apply(document: Document) -> dict[str, list[str]]:
        if document.dry_run:
            return {"plan": operations.plan(document.text, document.name)}
        return {"plan": await operations.apply(document.text, document.name)}

    @app.get("/drops")
    async def drops() -> list[dict[str, Any]]:
        return await operations.drops()

    @app.get("/connections")
    async def connections() -> dict[str, Any]:
        return operations.connections()

    @app.post("/explain")
    async def explain(packet: Packet) -> list[dict[str, str]]:
        return await operations.explain(packet.vm, packet.packet)
