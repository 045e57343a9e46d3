"""The desired state: what is refused, with line and reason; documents there and back; room."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from control.errors import ControlError
from control.events import EventBus
from control.model import DesiredState, DocumentError, dump_document, parse_document
from control.operations import Operations
from control.policy import compile_nic
from control.policy.room import lacking
from control.service import Controller
from control.store import STATE, Store

from .rig import nic, state, vm
from .stateful import balanced, natted

TOPOLOGIES = Path(__file__).parents[2] / "topologies"

DOCUMENT = """\
servers:
  - {name: server1, nic: nic1, mac: "02:00:00:00:01:00"}
nics:
  - {name: nic1, id: 1, vfs: 2}
networks:
  - name: lan
vms:
  - name: vm1
    server: server1
    vf: 0
    mac: "02:00:00:00:00:01"
    network: lan
"""


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("network: lan", "network: wan", 8, "network 'wan' does not exist; known: lan"),
        ("vf: 0", "vf: 7", 8, "VF 7, but nic1 has VFs 0..1"),
        ("vf: 0", "vf: no", 10, "valid integer"),
        ("server: server1", "sever: server1", 9, "vms.0.sever is not a known key"),
        ('mac: "02:00:00:00:00:01"', 'mac: "03:00:00:00:00:01"', 11, "multicast MAC"),
        ("nic: nic1", "nic: nic9", 2, "NIC 'nic9' does not exist"),
        ("  - name: lan", "  - name: lan\n    vlan: 5\n    vni: 5", 6, "vlan and vni; give one"),
        ("    network: lan", "    network: lan\n    min_tx_rate: 5", 8, "no link_mbps"),
    ],
)
def test_mistakes_are_told_with_their_line(old: str, new: str, line: int, words: str) -> None:
    with pytest.raises(DocumentError, match=words) as caught:
        parse_document(DOCUMENT.replace(old, new), "my.yaml")
    assert caught.value.line == line
    assert str(caught.value).startswith(f"my.yaml:{line}: ")


def test_text_that_is_no_document() -> None:
    with pytest.raises(DocumentError, match=r"my\.yaml:2: not valid YAML"):
        parse_document("a: [1,\n}", "my.yaml")
    with pytest.raises(DocumentError, match="expected keys servers"):
        parse_document("- 1\n", "my.yaml")
    with pytest.raises(DocumentError, match=r"my\.yaml:2: not valid YAML: character 0x1: .*remove"):
        parse_document("servers: []\nnics: [\x01]\n", "my.yaml")
    with pytest.raises(DocumentError, match=r"my\.yaml:1: nested too deeply"):
        parse_document("[" * 500 + "]" * 500, "my.yaml")


def test_documents_survive_the_way_there_and_back() -> None:
    for desired in (state(), natted(), balanced()):
        assert parse_document(dump_document(desired)) == desired


ACME = natted().model_dump()
SHOP = {"name": "shop", "network": "lan", "address": "10.0.0.100", "port": 80}
BLUE: dict[str, Any] = {
    "networks": [{"name": "lan"}, {"name": "blue", "vni": 7}],
    "vms": [vm(1), vm(2, network="blue"), vm(3, ips=["fd00::3/64"])],
}


def _router(*snat: tuple[str, str]) -> dict[str, Any]:
    shared = [{"nic": nic, "address": address} for nic, address in snat]
    return ACME | {"routers": [ACME["routers"][0] | {"snat": shared}], "floating": []}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vms": [vm(1, mac="06:4e:49:52:00:00")]}, "the NICs' own"),
        ({"vms": [vm(1, mac="00:00:00:00:00:00")]}, "or none"),
        ({"vms": [vm(1, mac="02:00:00:00:01:00")]}, "which server1 has in the same network"),
        ({"vms": [vm(1, ips=["224.0.0.5/24"])]}, "no host can have"),
        ({"vms": [vm(1, ips=["10.0.0.255/24"])]}, "no host can have"),
        ({"networks": [{"name": "lan"}, {"name": "b", "vlan": 5}],
          "vms": [vm(1, vlan=5), vm(2, network="b", ips=["10.0.0.1/24"])]}, "which VM vm1 has too"),
        ({"networks": [{"name": "lan", "gateways": ["10.0.0.1/24"]}]}, "the gateway of lan has"),
        ({"networks": [{"name": "lan"}, {"name": "b", "vni": 1}, {"name": "c", "vni": 8193}]},
         "network c has VNI 8193 and b has VNI 1"),
        ({"networks": [{"name": "lan"}, {"name": "b"}]}, "b has no VLAN and lan has no VLAN"),
        ({"load_balancers": [SHOP | {"address": "10.0.0.2"}]}, "which VM vm2 has too"),
        (BLUE | {"load_balancers": [SHOP | {"members": [{"vm": "vm2", "port": 80}]}]},
         "vm2 is of tenant blue"),
        (BLUE | {"load_balancers": [SHOP | {"members": [{"vm": "vm3", "port": 80}]}]},
         "vm3 has no IPv4 address"),
        ({"load_balancers": [SHOP | {"members": [{"vm": "vm2", "port": 80}] * 2}]}, "member twice"),
        (BLUE | {"routes": [{"tenant": "lan", "prefix": "10.7.0.0/16", "via_vm": "vm2"}]},
         "needs a VM of that tenant"),
        (ACME | {"routes": [{"tenant": "acme", "prefix": "0.0.0.0/0", "via_vm": "vm1"}]},
         "remove the route or the router"),
        (ACME | {"floating": [{"address": "192.0.2.1", "vm": "vm2"}]}, "which the shared address"),
        (ACME | {"floating": [{"address": f"192.0.2.{n}", "vm": "vm2"} for n in (8, 9)]},
         "expected one per VM"),
        (_router(("nic1", "192.0.2.1"), ("nic1", "192.0.2.2")), "expected one"),
        (_router(("nic1", "192.0.2.1"), ("nic2", "192.0.2.1")), "acme on nic1 has too"),
        ({"nics": [nic(tunnel_ip="10.9.9.9"), nic("nic2", 2, tunnel_ip="10.9.9.9")]},
         "tunnel address 10.9.9.9 is given twice"),
        ({"mirrors": [{"name": "m", "id": 1, "vm": "vm1", "to_vm": "vm1"}]}, "to itself"),
        ({"mirrors": [{"name": "m", "id": 1, "vm": "vm1", "to_port": "pf"},
                      {"name": "n", "id": 2, "vm": "vm1", "direction": "in", "to_port": "pf"}]},
         "mirrors m and n both copy vm1, direction in"),
        ({"acl": [{"name": "x", "protocol": "icmpv6", "src": "10.0.0.0/8"}]}, "write icmp"),
        ({"groups": [{"name": "g", "rules": [{"protocol": "icmp", "remote": "fd00::/64"}]}]},
         "write icmpv6"),
        ({"vms": [vm(1), vm(1)]}, "name vm1 is given twice"),
        ({"vms": [vm(1), vm(2, ips=["10.0.0.1/24"])]}, "which VM vm1 has too"),
        ({"vms": [vm(1), vm(2, vf=0)]}, "VF of its server"),
        ({"vms": [vm(1, groups=["web"])]}, "security group 'web' does not exist"),
        ({"nics": [nic(link_mbps=10), nic("nic2", 2)],
          "vms": [vm(1, min_tx_rate=6), vm(2, min_tx_rate=6)]}, "12 Mb/s promised on nic1"),
        ({"vms": [vm(1, max_tx_rate=5, min_tx_rate=6)],
          "nics": [nic(link_mbps=10), nic("nic2", 2)]}, "min_tx_rate 6 is above max_tx_rate 5"),
        ({"floating": [{"address": "192.0.2.1", "vm": "vm1"}]}, "has no router"),
        ({"acl": [{"name": "x", "dst_ports": "80"}]}, "protocol must be tcp or udp"),
        ({"acl": [{"name": "x", "protocol": "tcp", "dst_ports": "٣"}]}, "'٣' is not a port"),
        ({"acl": [{"name": "x", "protocol": "tcp", "dst_ports": "1-"}]}, "'1-' is not a port"),
        ({"mirrors": [{"name": "m", "id": 1, "vm": "vm1"}]}, "give either to_vm or to_port"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        state(**changes)


def test_every_difference_is_in_the_plan() -> None:
    def routed(*prefixes: str) -> DesiredState:
        routes = [{"tenant": "lan", "prefix": p, "via_vm": "vm1"} for p in prefixes]
        return state(routes=routes)

    controller: Any = SimpleNamespace(state=routed("10.1.0.0/16", "10.2.0.0/16"), fabric=None)
    operations = Operations(controller)
    wanted = dump_document(routed("10.3.0.0/16", "10.2.0.0/16"))
    assert operations.plan(wanted, "my.yaml") == [
        "+ routes lan 10.3.0.0/16",
        "- routes lan 10.1.0.0/16",
    ]
    assert operations.plan(dump_document(controller.state), "my.yaml") == []


async def test_a_stored_state_that_is_wrong_is_told() -> None:
    store = Store()
    store.save(STATE, {"servers": []})
    plane: Any = SimpleNamespace(bus=EventBus())
    controller = Controller(plane, plane, store, plane)
    with pytest.raises(ControlError, match="cannot be taken up: nics: Field required; start anew"):
        await controller.start(state(), 1)


def test_overlapping_tenants_may_share_addresses() -> None:
    networks = [{"name": "red", "vni": 1}, {"name": "blue", "vni": 2}]
    desired = state(
        networks=networks,
        vms=[vm(1, network="red"), vm(2, network="blue", ips=["10.0.0.1/24"], mac=vm(1)["mac"])],
    )
    assert isinstance(desired, DesiredState)


def test_what_does_not_fit_is_told_before_anything_is_written() -> None:
    def rules(first: int, count: int) -> DesiredState:
        ports = [{"protocol": "tcp", "ports": first + number} for number in range(count)]
        return state(groups=[{"name": "g", "rules": ports}], vms=[vm(1, groups=["g"])])

    sizes = {"rules_in_v4_table": 100}
    before = compile_nic(rules(1, 60), "nic1")
    after = compile_nic(rules(1000, 60), "nic1", tags=before.tags)
    assert lacking(before, sizes) == []
    assert lacking(compile_nic(rules(1, 200), "nic1"), sizes) == [
        "rules_in_v4_table needs 200 entries, has 100"
    ]
    assert lacking(after, sizes, before) == [
        "rules_in_v4_table needs 120 entries while old and new rules stand side by side (60 new), "
        "has 100"
    ]


def test_compiling_is_deterministic() -> None:
    assert compile_nic(natted(), "nic1") == compile_nic(natted(), "nic1")
