"""Live migration of a VM with its network state."""
