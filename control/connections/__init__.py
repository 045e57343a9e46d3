"""Stateful connections: what the NICs send up is decided here and installed there."""

from control.connections.choice import PortPool
from control.connections.decide import Decider, Punt, Refusal
from control.connections.manager import ConnectionManager, Switchboard

__all__ = ["ConnectionManager", "Decider", "PortPool", "Punt", "Refusal", "Switchboard"]
