"""What a migration did and cost, for the operator and for the bench."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rich.table import Table

ROLLED_BACK = "rolled back"


@dataclass(frozen=True)
class PhaseTime:
    """One finished phase and how long it took."""

    name: str
    milliseconds: float


@dataclass
class MigrationReport:
    """Phases with milliseconds, bytes moved, and what became of packets.

    ``blackout_ms`` is the time from freezing to thawing the guest. ``lost`` counts frames that
    found no room among the held ones; a frame is either delivered, held or counted here. ``late``
    counts held frames that came up when others went straight to the guest already.
    """

    vm: str
    source: str
    destination: str
    phases: list[PhaseTime] = field(default_factory=list)
    blackout_ms: float = 0.0
    bytes_copied: int = 0
    throttle_percent: float = 0.0
    state_entries: int = 0
    held: int = 0
    redirected: int = 0
    late: int = 0
    lost: int = 0
    outcome: str = "moved"
    reason: str = ""

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MigrationReport:
        """A report from the JSON data that ``dataclasses.asdict`` made of one."""
        return cls(**{**data, "phases": [PhaseTime(**phase) for phase in data["phases"]]})

    def table(self) -> Table:
        """The report as a table for the terminal."""
        table = Table(title=f"{self.vm}: {self.source} → {self.destination}: {self.outcome}")
        table.add_column("phase")
        table.add_column("ms", justify="right")
        for phase in self.phases:
            table.add_row(phase.name, f"{phase.milliseconds:.1f}")
        table.add_section()
        table.add_row("blackout", f"{self.blackout_ms:.1f}")
        table.add_section()
        table.add_row("memory copied", f"{self.bytes_copied / 2**20:.1f} MiB")
        table.add_row("guest throttled", f"{self.throttle_percent:.0f} %")
        table.add_row("connections moved", str(self.state_entries))
        table.add_row("packets held", str(self.held))
        table.add_row("packets redirected", str(self.redirected))
        table.add_row("packets late", str(self.late))
        table.add_row("packets lost", str(self.lost))
        return table
