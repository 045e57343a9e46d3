"""Packet-test (STF) runner: scripts, name resolution, targets and comparison."""
