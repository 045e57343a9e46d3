"""What the blackout will write, computed before the guest is frozen.

Compiling a policy of thousands of rules takes long; the difference that a changed placement makes
is a handful of entries. The fabric's lock is held from here until the guest runs again, so that
nothing else changes what the differences were computed against.
"""

from __future__ import annotations

from dataclasses import dataclass

from control.fabric import Plan
from control.migration.record import Record
from control.migration.site import Site


@dataclass(frozen=True)
class Ahead:
    """Writes of the phases to come: at the freeze, during the switch, at the resume."""

    park: Plan
    hold: Plan
    redirect: Plan
    deliver: Plan


def plan_ahead(record: Record, site: Site) -> Ahead:
    """Compute all writes from the freeze to the resume. NicDownError if an end is down."""
    source, destination = record.source.nic, record.destination.nic
    switched = record.placements("moved", "parked")
    peers = [nic for nic in site.others(source, destination) if site.is_up(nic)]
    park = site.plan(record.placements("parked", "prepared"), [source])
    hold = site.plan(switched, [destination])
    redirect = {**site.plan(switched, [source], after=park), **site.plan(switched, peers)}
    deliver = site.plan(record.placements("moved", "active"), [destination], after=hold)
    return Ahead(park, hold, redirect, deliver)
