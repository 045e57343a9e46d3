"""Documents and VF settings on a running lab: planned, done, refused, done twice; drops."""

from __future__ import annotations

import pytest
import yaml

from control.errors import ControlError
from control.fabric import Fabric
from topologies.lab import Lab

from .helpers import wait_for

WEB = {"name": "web", "stateful": False, "rules": [{"protocol": "tcp", "ports": "80"}]}


def document(lab: Lab) -> str:
    with lab.client() as client:
        return str(client.get("/state"))


def apply(lab: Lab, text: str, *, dry_run: bool = False) -> list[str]:
    with lab.client() as client:
        body = {"text": text, "name": "my.yaml", "dry_run": dry_run}
        return list(client.post("/apply", body)["plan"])


def with_web(text: str) -> str:
    """The document with a group that vm3 is in, and a rate."""
    wanted = yaml.safe_load(text)
    wanted["groups"] = [WEB]
    three = next(vm for vm in wanted["vms"] if vm["name"] == "vm3")
    three.update(groups=["web"], max_tx_rate=50)
    return yaml.safe_dump(wanted)


def writes(lab: Lab) -> int:
    return sum(event.kind == "write" for event in lab.bus.recent)


def test_what_comes_out_goes_in_and_changes_nothing(lab: Lab) -> None:
    text, before = document(lab), writes(lab)
    assert apply(lab, text) == []
    assert document(lab) == text
    assert writes(lab) == before
    fabric = lab.controller.fabric
    assert isinstance(fabric, Fabric)
    assert lab.run(fabric.audit()) == []


def test_a_document_is_planned_then_done_once(lab: Lab) -> None:
    first, one, three = document(lab), lab.vm("vm1"), lab.vm("vm3")
    wanted = with_web(first)
    plan = ["~ vms vm3 (max_tx_rate, groups)", "+ groups web"]
    try:
        assert apply(lab, wanted, dry_run=True) == plan
        assert document(lab) == first
        assert one.pings(three.ip) == 1
        assert apply(lab, wanted) == plan
        assert one.pings(three.ip, wait=0.3) == 0
        before = writes(lab)
        assert apply(lab, wanted) == []
        assert writes(lab) == before
    finally:
        back = apply(lab, first)
    assert back == ["~ vms vm3 (max_tx_rate, groups)", "- groups web"]
    assert one.pings(three.ip) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "network: lan",
            "network: wan",
            r"my\.yaml:\d+: .*network 'wan' does not exist; known: lan",
        ),
        ("id: 2", "id: many", r"my\.yaml:\d+: .*valid integer"),
        ("id: 2", "id: 3", "nics differ from the running lab's"),
        ("10.0.0.1/24", "10.0.0.77/24", "vm1: ips is .* its addresses are given at the start"),
        ("name: vm4", "name: vm9", "the VMs are not those of the running lab"),
    ],
)
def test_a_wrong_document_is_refused_whole(lab: Lab, old: str, new: str, words: str) -> None:
    first, before = document(lab), writes(lab)
    wrong = with_web(first).replace(old, new, 1)
    assert new in wrong
    with pytest.raises(ControlError, match=words):
        apply(lab, wrong)
    assert document(lab) == first
    assert writes(lab) == before


def test_vf_settings_act_and_wrong_ones_are_refused(lab: Lab) -> None:
    one, two = lab.vm("vm1"), lab.vm("vm2")
    with lab.client() as client:
        for state, answered in (("disable", 0), ("auto", 1)):
            client.put("/vf/vm2", {"setting": "state", "value": state})
            (row,) = client.get("/vf", vm="vm2")
            assert (row["vm"], row["state"]) == ("vm2", state)
            wait_for(lambda answered=answered: one.pings(two.ip, wait=0.3) == answered)
        for setting, value, words in (
            ("colour", "red", "no VF setting 'colour'; known: mac, vlan"),
            ("max_tx_rate", "fast", "max_tx_rate fast: .*valid number"),
            ("min_tx_rate", "5", "nic1 has no link_mbps"),
        ):
            with pytest.raises(ControlError, match=words):
                client.put("/vf/vm2", {"setting": setting, "value": value})


def test_drops_tell_vm_and_reason(lab: Lab) -> None:
    one, two = lab.vm("vm1"), lab.vm("vm2")

    def dropped() -> int:
        with lab.client() as client:
            rows = client.get("/drops")
        (row,) = [r for r in rows if r["port"] == "vm2" and "receiving VM" in r["reason"]] or [{}]
        return int(row.get("packets", 0))

    before = dropped()
    with lab.client() as client:
        client.post("/acl", {"name": "shut", "vm": "vm2", "protocol": "icmp"})
        try:
            assert one.pings(two.ip, count=2, wait=0.3) == 0
            assert dropped() == before + 2
        finally:
            client.delete("/acl/shut")
