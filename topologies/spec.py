"""A lab topology as data: the desired state of a lab, and what lies around it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, model_validator

from control.model import DesiredState
from control.model.types import GuestModel, Misplaced, Name

NODE_NAME_LENGTH = 8  # names become parts of interface names, of which the kernel allows 15


class Topology(DesiredState):
    """A desired state with a name, a sentence about it, and its top-of-rack switch."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    description: str
    tor: Name = "tor"

    @model_validator(mode="after")
    def _nodes(self) -> Topology:
        """Node names are unique across kinds, and short."""
        taken: set[str] = set()
        for name, path in self._node_names():
            if len(name) > NODE_NAME_LENGTH:
                raise Misplaced(
                    f"node name {name!r} has {len(name)} characters; at most {NODE_NAME_LENGTH} "
                    "fit into the names of its network interfaces",
                    *path,
                )
            if name in taken:
                raise Misplaced(f"node name {name!r} is given twice; expected once", *path)
            taken.add(name)
        return self

    def _node_names(self) -> Iterator[tuple[str, tuple[str | int, ...]]]:
        """Every node's name and where the document has it."""
        yield self.tor, ("tor",)
        for kind in ("servers", "nics", "vms"):
            for index, node in enumerate(getattr(self, kind)):
                yield node.name, (kind, index, "name")

    def state(self) -> DesiredState:
        """The desired state alone."""
        return DesiredState.model_validate(
            self.model_dump(exclude={"name", "description", "tor"}, exclude_defaults=True)
        )

    def with_guest_model(self, model: GuestModel) -> Topology:
        """The same lab with every VF reaching its guest in one way."""
        vms = [vm.model_copy(update={"model": model}) for vm in self.vms]
        return self.model_copy(update={"vms": vms})
