"""The order in which BMv2 makes the copies of a multicast group or a clone session.

A group is a list of nodes, one per instance, and copies are made node by node, ports ascending.
The P4Runtime server that BMv2 uses collects the instances in a C++ `unordered_map` and appends
the nodes in the order in which that is walked; a MODIFY keeps the nodes that stay where they are.
Programs that number their copies see this order, so we follow it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from p4native.switch.state import Replica

_BUCKETS = (13, 29, 59, 127, 257, 541, 1109, 2357, 5087, 10273, 20753, 42043, 85229)
"""Sizes to which libstdc++'s hash tables grow, each when there is an element per bucket."""


def ordered(replicas: Sequence[Replica], before: Sequence[int] = ()) -> list[Replica]:
    """Return replicas in BMv2's order; `before` are the instances as the group had them."""
    nodes: dict[int, list[Replica]] = {}
    for replica in replicas:
        nodes.setdefault(replica.instance, []).append(replica)
    kept = dict.fromkeys(instance for instance in before if instance in nodes)
    new = [instance for instance in _walk(nodes) if instance not in kept]
    return [
        replica
        for instance in (*kept, *new)
        for replica in sorted(nodes[instance], key=lambda replica: replica.port)
    ]


def instances(replicas: Iterable[Replica]) -> list[int]:
    """Return the instances in the order in which they occur."""
    return list(dict.fromkeys(replica.instance for replica in replicas))


def _walk(keys: Iterable[int]) -> list[int]:
    """Return keys as an `unordered_map` has them after they were inserted in this order.

    An element goes to the front of its bucket, a bucket that was empty to the front of all.
    """
    sizes = iter(_BUCKETS)
    size = next(sizes)
    buckets: dict[int, list[int]] = {}
    for count, key in enumerate(keys):
        if count == size:
            grown, size, buckets = _flat(buckets), next(sizes), {}
            for each in grown:
                buckets.setdefault(each % size, []).append(each)
        buckets.setdefault(key % size, []).append(key)
    return _flat(buckets)


def _flat(buckets: dict[int, list[int]]) -> list[int]:
    return [key for bucket in reversed(buckets.values()) for key in reversed(bucket)]
