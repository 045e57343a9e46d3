"""A lab topology as data: the desired state of a lab, and what lies around it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from control.model import DesiredState
from control.model.types import Name

NODE_NAME_LENGTH = 8  # names become parts of interface names, of which the kernel allows 15


class Topology(DesiredState):
    """A desired state with a name, a sentence about it, and its top-of-rack switch."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    description: str
    tor: Name = "tor"

    @model_validator(mode="after")
    def _nodes(self) -> Topology:
        """Node names are unique across kinds, and short."""
        names = [self.tor]
        for kind in (self.servers, self.nics, self.vms):
            names += [node.name for node in kind]
        for name in names:
            if len(name) > NODE_NAME_LENGTH:
                raise ValueError(
                    f"node name {name!r} has {len(name)} characters; at most {NODE_NAME_LENGTH} "
                    "fit into the names of its network interfaces"
                )
            if names.count(name) > 1:
                raise ValueError(f"node name {name!r} is given twice; expected once")
        return self

    def state(self) -> DesiredState:
        """The desired state alone."""
        return DesiredState.model_validate(
            self.model_dump(exclude={"name", "description", "tor"}, exclude_defaults=True)
        )
