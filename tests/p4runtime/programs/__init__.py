"""The P4 programs of the conformance tests, compiled once per run."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from finsy.proto import p4i, p4r

from p4native.compiler import compile_program


class Program:
    """A compiled program."""

    def __init__(self, name: str, info: p4i.P4Info, device_config: bytes) -> None:
        self.name, self.info, self.device_config = name, info, device_config

    def __repr__(self) -> str:
        return f"Program({self.name})"

    def config(self, cookie: int | None = None) -> p4r.ForwardingPipelineConfig:
        """The config to push."""
        config = p4r.ForwardingPipelineConfig(p4info=self.info, p4_device_config=self.device_config)
        if cookie is not None:
            config.cookie.cookie = cookie
        return config


@cache
def load_program(path: Path, *defines: str) -> Program:
    """Compile a program with our compiler."""
    result = compile_program(path, defines=dict.fromkeys(defines, "1"))
    return Program(path.stem, result.p4info, json.dumps(result.json).encode())
