"""PTF tests of a running switch, on the base class that p4c's PTF tests share."""

import base_test as bt
import ptf.testutils as tu

PROBE = bytes.fromhex("000000000001000000000002" + "88b5" + "00000000" + "00000000") + bytes(46)


class ForwardTest(bt.P4RuntimeTest):
    """Entries, errors, counters, replication and packets both ways."""

    def setUp(self):
        bt.P4RuntimeTest.setUp(self)
        assert self.updateConfig()

    def insert_replication(self, kind, key, number, ports):
        """The base class has helpers for this, but they leave the election id out."""
        request = self.get_new_write_request()
        update = request.updates.add(type=1)
        entry = getattr(update.entity.packet_replication_engine_entry, kind)
        setattr(entry, key, number)
        for port in ports:
            entry.replicas.add(egress_port=port)
        self.write_request(request)

    @bt.autocleanup
    def runTest(self):
        exact = self.Exact
        self.table_add(
            ("exact_table", [exact("dst", 1), exact("port", 1)]),
            ("forward", [("port", 2)]),
        )
        tu.send_packet(self, 1, PROBE)
        tu.verify_packets(self, PROBE, [2])
        with self.assertP4RuntimeError(6):
            self.table_add(
                ("exact_table", [exact("dst", 1), exact("port", 1)]),
                ("forward", [("port", 3)]),
            )
        entries, _default = self.table_dump_data("exact_table")
        assert len(entries) == 1, entries
        (cell,) = [c for c in self.counter_dump_data("port_counter") if c.index.index == 1]
        assert cell.data.packet_count == 1, cell
        self.insert_replication("multicast_group_entry", "multicast_group_id", 5, [1, 2])
        self.table_add(
            ("exact_table", [exact("dst", 1), exact("port", 2)]),
            ("multicast", [("group", 5)]),
        )
        tu.send_packet(self, 2, PROBE)
        tu.verify_packets(self, PROBE, [1, 2])
        self.insert_replication("clone_session_entry", "session_id", 9, [1])
        self.table_add(
            ("ternary_table", [self.Ternary("type", 0x88B5, 0xFFFF), exact("port", 1)]),
            ("clone_to", [("session", 9)]),
            7,
        )
        tu.send_packet(self, 1, PROBE)
        tu.verify_packets(self, PROBE, [1, 2])


class PacketIoTest(bt.P4RuntimeTest):
    """Packet-out by port, packet-in with its metadata."""

    def setUp(self):
        bt.P4RuntimeTest.setUp(self)
        assert self.updateConfig()

    @bt.autocleanup
    def runTest(self):
        metadata = {"egress_port": 2, "_pad": 0}
        out = self.encode_packet_out_metadata({"metadata": metadata, "payload": PROBE})
        self.send_packet_out(out)
        tu.verify_packet(self, PROBE, 2)
        self.table_add(
            ("exact_table", [self.Exact("dst", 1), self.Exact("port", 2)]),
            ("to_cpu", [("reason", 5)]),
        )
        tu.send_packet(self, 2, PROBE)
        received = self.decode_packet_in_metadata(self.get_packet_in())
        self.verify_packet_in(
            {"metadata": {"ingress_port": 2, "reason": 5}, "payload": PROBE}, received
        )
