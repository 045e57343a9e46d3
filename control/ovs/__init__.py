"""The desired state on Open vSwitch: the plane that the NIC is compared with."""

from control.ovs.program import BridgeProgram, bridge_program
from control.ovs.refuse import unsupported

__all__ = ["BridgeProgram", "bridge_program", "unsupported"]
