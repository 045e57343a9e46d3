"""BMv2 JSON to C."""

from p4native.codegen.errors import CodegenError
from p4native.codegen.generate import generate

__all__ = ["CodegenError", "generate"]
