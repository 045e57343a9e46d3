"""Rates of VFs on a running NIC: set, taken away, and never inherited by another VM's entry."""

from __future__ import annotations

from bench.traffic import guest, guest_service
from control.model import DesiredState
from topologies.lab import Lab
from topologies.tour_tools import tcp_gbps


def set_rate(lab: Lab, vm: str, rate: float) -> None:
    """Change one VM's max_tx_rate in the desired state."""
    state = lab.controller.state
    vms = [v.model_copy(update={"max_tx_rate": rate}) if v.name == vm else v for v in state.vms]
    changed = DesiredState.model_validate({**state.model_dump(), "vms": vms})
    lab.run(lab.controller.fabric.change(changed))


def rates(lab: Lab, nic: str) -> list[int]:
    """Committed rates that the NIC's own port table reports, in bytes per second."""
    session = lab.controller.fabric.nic(nic)
    found = lab.run(session._read_back())
    entries = [e.table_entry for e in found if e.HasField("table_entry")]
    table = session.encoder.table_ids["port_table"]
    return sorted(e.meter_config.cir for e in entries if e.table_id == table and e.meter_config.cir)


def test_a_rate_is_set_and_taken_away(lab: Lab) -> None:
    assert rates(lab, "nic2") == []
    set_rate(lab, "vm3", 100)
    assert rates(lab, "nic2") == [100_000_000 // 8]
    set_rate(lab, "vm3", 0)
    assert rates(lab, "nic2") == []


def test_tcp_gets_the_rate_of_its_vf(lab: Lab) -> None:
    """A policer with a small burst would leave a tenth: every loss is a wait for the timeout."""
    set_rate(lab, "vm1", 100)
    try:
        assert 0.06 < tcp_gbps(lab.vm("vm1"), lab.vm("vm2")) < 0.13
    finally:
        set_rate(lab, "vm1", 0)


def test_a_guaranteed_rate_is_kept_while_others_want_more(lab: Lab) -> None:
    """vm2 stays within its 0.5 Mb/s of a link of 1; vm1 would use the link eight times over."""
    before = lab.controller.state
    nics = [nic.model_copy(update={"link_mbps": 1}) for nic in before.nics]
    vms = [
        vm.model_copy(update={"min_tx_rate": 0.5}) if vm.name == "vm2" else vm for vm in before.vms
    ]
    wanted = DesiredState.model_validate(
        {**before.model_dump(), "nics": [nic.model_dump() for nic in nics],
         "vms": [vm.model_dump() for vm in vms]}
    )  # fmt: skip
    greedy, modest, other, last = (lab.vm(name) for name in ("vm1", "vm2", "vm3", "vm4"))
    assert greedy.pings(other.ip) == modest.pings(last.ip) == 1
    lab.run(lab.controller.fabric.change(wanted))
    try:
        with (
            guest_service(other, "probe-receive", 7000) as crowd,
            guest_service(last, "probe-receive", 7000) as quiet,
        ):
            flood = guest(greedy, "load-send", other.ip, 7000, 1000, 3, 1000)
            stream = guest(modest, "probe-send", last.ip, 7000, 300, 3)
            wants, sent = flood.result()["sent"], stream.result()["sent"]
            gets, arrived = crowd.result()["received"], quiet.result()["received"]
    finally:
        lab.run(lab.controller.fabric.change(before))
    assert arrived == sent
    assert gets < 0.8 * wants


def test_an_entry_does_not_inherit_the_meter_of_a_removed_one(lab: Lab) -> None:
    state = lab.controller.state
    set_rate(lab, "vm4", 100)
    without = [vm for vm in lab.controller.state.vms if vm.name != "vm4"]
    gone = DesiredState.model_validate({**state.model_dump(), "vms": without})
    lab.run(lab.controller.fabric.change(gone))
    lab.run(lab.controller.fabric.change(state))
    assert rates(lab, "nic2") == []
