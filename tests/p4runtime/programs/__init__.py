"""The P4 programs of the conformance tests, compiled once per run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from finsy.proto import p4i, p4r

from p4native.compiler import compile_program


@dataclass(frozen=True)
class Program:
    """A compiled program."""

    info: p4i.P4Info
    device_config: bytes

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
    return Program(result.p4info, json.dumps(result.json).encode())
