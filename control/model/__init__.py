"""What the operator wants, typed: the desired state and its YAML document."""

from control.model.document import DocumentError, dump_document, parse_document
from control.model.state import AclRule, DesiredState, Network, Nic, Placement, Server, Vm

__all__ = [
    "AclRule",
    "DesiredState",
    "DocumentError",
    "Network",
    "Nic",
    "Placement",
    "Server",
    "Vm",
    "dump_document",
    "parse_document",
]
