"""Topology files: found, validated, and refused with the line and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from control.errors import ControlError
from topologies.loader import HERE, available, load

GOOD = (HERE / "two_servers.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", available())
def test_every_topology_that_comes_with_the_lab_is_valid(name: str) -> None:
    topology = load(name)
    assert topology.name == name
    assert topology.state().vms == topology.vms


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('vf: 1, mac: "02:00:00:00:00:02"', 'vf: 9, mac: "02:00:00:00:00:02"', 15, "VFs 0..7"),
        ("id: 1, vfs: 8", "id: 1, vfz: 8", 9, "vfz is not a known key"),
        ("10.0.0.2/24", "10.0.0.2", 15, "lacks a prefix length"),
        ("02:00:00:00:00:03", "02:00:00:00:00:01", 16, "given twice"),
        ("02:00:00:00:00:03", "03:00:00:00:00:03", 16, "multicast"),
        ("vf: 1", "vf: one", 15, "valid integer"),
        ("servers:", "servers: [", 6, "not valid YAML"),
        ("name: vm4", "name: machine04", 17, "at most 8"),
        ("server: server2, vf: 1", "server: server9, vf: 1", 17, "'server9' does not exist"),
        ("description: two", "descriptoin: two", 3, "descriptoin is not a known key"),
    ],
)
def test_a_mistake_is_blamed_on_its_line(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    path = tmp_path / "mine.yaml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ControlError) as caught:
        load(str(path))
    text = str(caught.value)
    assert words in text
    assert text.startswith(f"{path}:{line}:"), text


def test_an_unknown_topology_names_those_that_exist() -> None:
    with pytest.raises(ControlError, match=r"Did you mean two_servers\?.*one_server"):
        load("two_server")


def test_a_directory_is_not_a_topology(tmp_path: Path) -> None:
    folder = tmp_path / "x.yaml"
    folder.mkdir()
    with pytest.raises(ControlError, match="cannot read topology"):
        load(str(folder))
