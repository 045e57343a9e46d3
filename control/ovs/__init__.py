"""The desired state on Open vSwitch: the plane that the NIC is compared with."""

from control.ovs.flows import bridge_flows, unsupported

__all__ = ["bridge_flows", "unsupported"]
