"""A NIC's counters as the operator knows them from ``ip -s link show``, and drops by reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from control.nic import Nic
from control.plane import PortStats
from control.policy.reasons import DropReason, TrafficClass, drop_index, label, traffic_index

_Cells = Mapping[int, tuple[int, int]]


async def port_stats(nic: Nic, ports: Sequence[int]) -> dict[int, PortStats]:
    """Counters of some ports of one NIC. What a port sends up, the guest behind it has sent."""
    traffic = [traffic_index(port, cls) for port in ports for cls in TrafficClass]
    dropped = [drop_index(port, reason) for port in ports for reason in DropReason]
    sent = await nic.read_counter("from_port_counter", traffic)
    received = await nic.read_counter("to_port_counter", traffic)
    drops = await nic.read_counter("drop_counter", dropped)
    return {port: _sum(port, sent, received, drops) for port in ports}


def _sum(port: int, sent: _Cells, received: _Cells, drops: _Cells) -> PortStats:
    """Sum the counter cells of one port."""
    stats = PortStats()
    for cls in TrafficClass:
        packets_out, bytes_out = sent.get(traffic_index(port, cls), (0, 0))
        packets_in, bytes_in = received.get(traffic_index(port, cls), (0, 0))
        stats.tx_packets += packets_out
        stats.tx_bytes += bytes_out
        stats.rx_packets += packets_in
        stats.rx_bytes += bytes_in
        if cls is TrafficClass.MULTICAST:
            stats.tx_multicast, stats.rx_multicast = packets_out, packets_in
        elif cls is TrafficClass.BROADCAST:
            stats.tx_broadcast, stats.rx_broadcast = packets_out, packets_in
    for reason in DropReason:
        packets, _ = drops.get(drop_index(port, reason), (0, 0))
        if packets:
            stats.drops[label(reason)] = packets
    return stats
