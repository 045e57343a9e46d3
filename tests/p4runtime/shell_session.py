"""A session of p4runtime-shell, in its own environment: shell_session.py ADDRESS P4INFO JSON."""

import sys

import p4runtime_sh.shell as sh
from p4runtime_sh.p4runtime import P4RuntimeWriteException


def write_tables():
    entry = sh.TableEntry("exact_table")(action="forward")
    entry.match["dst"] = "00:00:00:00:00:0a"
    entry.match["port"] = "3"
    entry.action["port"] = "2"
    entry.insert()
    try:
        entry.insert()
    except P4RuntimeWriteException as error:
        assert "ALREADY_EXISTS" in str(error), error
    else:
        raise AssertionError("inserted twice")
    entry.action["port"] = "4"
    entry.modify()
    (read,) = list(sh.TableEntry("exact_table").read())
    assert read.action["port"].value == b"\x04", read
    ternary = sh.TableEntry("ternary_table")(action="drop", priority=7)
    ternary.match["type"] = "0x0800 &&& 0xffff"
    ternary.match["port"] = "1"
    ternary.insert()
    lpm = sh.TableEntry("lpm_table")(action="drop")
    lpm.match["value"] = "10.0.0.0/8"
    lpm.insert()
    ranged = sh.TableEntry("range_table")(action="mark", priority=3)
    ranged.match["key"] = "5..9"
    ranged.match["op"] = "1"
    ranged.action["value"] = "6"
    ranged.insert()
    for table in ("ternary_table", "lpm_table", "range_table"):
        assert len(list(sh.TableEntry(table).read())) == 1, table
    default = sh.TableEntry("exact_table")(action="forward", is_default=True)
    default.action["port"] = "8"
    default.modify()


def write_profiles():
    for number in (1, 2):
        member = sh.ActionProfileMember("spread")(member_id=number, action="forward")
        member.action["port"] = str(number)
        member.insert()
    group = sh.ActionProfileGroup("spread")(group_id=1, max_size=8)
    group.add(1).add(2, weight=2)
    group.insert()
    entry = sh.TableEntry("selector_table")(group_id=1)
    entry.match["key"] = "7"
    entry.insert()
    (read,) = list(sh.ActionProfileGroup("spread").read())
    assert len(read.members) == 2
    assert len(list(sh.ActionProfileMember("spread").read())) == 2
    entry.delete()
    group.delete()
    for number in (1, 2):
        sh.ActionProfileMember("spread")(member_id=number).delete()
    shot = sh.TableEntry("selector_table")
    shot.match["key"] = "8"
    action = sh.Action("forward")
    action["port"] = "3"
    shot.oneshot.add(action, weight=2)
    shot.insert()
    (read,) = list(sh.TableEntry("selector_table").read())
    assert read.oneshot is not None


def write_others():
    counter = sh.CounterEntry("port_counter")(index=3)
    counter.packet_count = 9
    counter.modify()
    (read,) = list(sh.CounterEntry("port_counter")(index=3).read())
    assert read.packet_count == 9
    meter = sh.MeterEntry("port_meter")(index=1, cir=10, cburst=1, pir=20, pburst=2)
    meter.modify()
    (read,) = list(sh.MeterEntry("port_meter")(index=1).read())
    assert (read.cir, read.pburst) == (10, 2)
    group = sh.MulticastGroupEntry(5)
    group.add(1, 1).add(2, 2)
    group.insert()
    (read,) = list(sh.MulticastGroupEntry(5).read())
    assert len(read.replicas) == 2
    clone = sh.CloneSessionEntry(9)
    clone.add(510, 1)
    clone.insert()
    (read,) = list(sh.CloneSessionEntry(9).read())
    assert len(read.replicas) == 1


def packets():
    payload = bytes(range(60))
    packet_in = sh.PacketIn()
    out = sh.PacketOut(payload=payload)
    out.metadata["egress_port"] = "510"
    out.metadata["_pad"] = "0"
    out.send()
    received = list(packet_in.sniff(timeout=1))
    assert any(message.packet.payload == payload for message in received), received


def main():
    address, info, blob = sys.argv[1:]
    sh.setup(
        device_id=1,
        grpc_addr=address,
        election_id=(0, 1),
        config=sh.FwdPipeConfig(info, blob),
        verbose=False,
    )
    try:
        for step in (write_tables, write_profiles, write_others, packets):
            step()
            print(step.__name__, "ok", flush=True)
    finally:
        sh.teardown()


if __name__ == "__main__":
    main()
