"""What the operator wants, typed: the desired state and its YAML document."""

from control.model.document import DocumentError, dump_document, parse_as, parse_document
from control.model.services import (
    FloatingIp,
    GroupRule,
    LoadBalancer,
    Member,
    Mirror,
    Route,
    Router,
    SecurityGroup,
    SourceNat,
)
from control.model.state import AclRule, DesiredState, Network, Nic, Placement, Server, Vm

__all__ = [
    "AclRule",
    "DesiredState",
    "DocumentError",
    "FloatingIp",
    "GroupRule",
    "LoadBalancer",
    "Member",
    "Mirror",
    "Network",
    "Nic",
    "Placement",
    "Route",
    "Router",
    "SecurityGroup",
    "Server",
    "SourceNat",
    "Vm",
    "dump_document",
    "parse_as",
    "parse_document",
]
