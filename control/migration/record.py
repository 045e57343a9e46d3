"""What the journal keeps of a migration: who, from where to where, and how far it is."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from control.errors import ControlError
from control.model import Placement
from control.model.types import Strict

_MOST_MIB = 1 << 24  # 16 TiB: more than a server has


class Phase(str, Enum):
    """The phases in their order; each is journalled before it acts."""

    CHECK = "check"
    PREPARE = "prepare"
    PRE_COPY = "pre-copy"
    FREEZE = "freeze"
    TRANSFER = "transfer"
    SWITCH = "switch"
    RESUME = "resume"
    RELEASE = "release"

    @property
    def forward(self) -> bool:
        """Whether a migration interrupted in this phase is finished rather than undone."""
        return self in (Phase.SWITCH, Phase.RESUME, Phase.RELEASE)


class Endpoint(Strict):
    """One end of a migration: a server, its NIC, and a VF of it."""

    server: str
    nic: str
    vf: int


class Options(Strict):
    """How to migrate. Sizes in MiB, rates in MiB/s, times in seconds."""

    memory_mib: Annotated[float, Field(gt=0, le=_MOST_MIB)] = 64
    dirty_mib_s: Annotated[float, Field(ge=0, description="how fast the guest dirties pages")] = 8
    limit_mib: Annotated[float, Field(gt=0, description="freeze when no more is dirty")] = 1
    rounds: Annotated[int, Field(ge=1, description="pre-copy rounds at the most")] = 30
    held_frames: Annotated[int, Field(ge=0, description="frames held while frozen")] = 8192
    held_mib: Annotated[float, Field(ge=0, description="bytes held while frozen, in MiB")] = 128
    drain_s: Annotated[float, Field(ge=0, description="quiet time before release")] = 0.25


class Record(Strict):
    """One migration as the journal has it."""

    vm: str
    source: Endpoint
    destination: Endpoint
    phase: Phase = Phase.CHECK
    options: Options = Options()

    def at(self, phase: Phase) -> Record:
        """The same migration in another phase."""
        return self.model_copy(update={"phase": phase})

    def placements(self, source: str | None, destination: str | None) -> tuple[Placement, ...]:
        """The VM's placements with the given roles; None leaves an end out."""
        ends = ((self.source, source), (self.destination, destination))
        return tuple(
            Placement.model_validate({"vm": self.vm, "nic": end.nic, "vf": end.vf, "role": role})
            for end, role in ends
            if role is not None
        )


class UndoneError(ControlError):
    """A migration that did not happen: why, and that the VM runs where it was."""

    def __init__(self, record: Record, reason: Exception) -> None:
        where = f"{record.vm} runs on {record.source.server} as before."
        super().__init__(f"{str(reason).removesuffix('.')}. {where}")
