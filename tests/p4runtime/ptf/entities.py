"""PTF tests of a running switch: what is written over P4Runtime is seen on PTF's ports."""

import struct

import ptf.testutils as tu
from google.rpc import code_pb2
from session import DELETE, INSERT, MODIFY, SwitchTest

ETHERNET = bytes.fromhex("000000000001000000000002")
PROBE_TYPE = 0x88B5


def probe(key=0, op=0):
    """A frame for the program's probe header."""
    return ETHERNET + struct.pack(">HBBHI", PROBE_TYPE, op, 0, key, 0) + bytes(46)


class ForwardTest(SwitchTest):
    """An entry steers packets until it is gone, and counts them."""

    def runTest(self):
        to_two = self.entry("exact_table", [1, 1], "forward", [2])
        self.write(INSERT, to_two)
        tu.send_packet(self, 1, probe())
        tu.verify_packets(self, probe(), [2])
        self.assertEqual(self.read(self.entry("exact_table", [])), [to_two])
        (found,) = self.read(self.counter("port_counter", 1))
        self.assertEqual(found.counter_entry.data.packet_count, 1)
        self.write(MODIFY, self.entry("exact_table", [1, 1], "forward", [3]))
        tu.send_packet(self, 1, probe())
        tu.verify_packets(self, probe(), [3])
        self.write(DELETE, to_two)
        tu.send_packet(self, 1, probe())
        tu.verify_no_other_packets(self)


class PriorityTest(SwitchTest):
    """Of two ternary entries the one of higher priority counts."""

    def runTest(self):
        wide = self.entry("ternary_table", [None, None, 1], "forward", [2], 1)
        narrow = self.entry(
            "ternary_table", [(PROBE_TYPE, 0xFFFF), None, 1], "forward_marked", [3, 9], 2
        )
        self.write(INSERT, wide, narrow)
        marked = bytearray(probe())
        marked[15] = 9
        tu.send_packet(self, 1, probe())
        tu.verify_packets(self, bytes(marked), [3])
        self.write(DELETE, narrow)
        tu.send_packet(self, 1, probe())
        tu.verify_packets(self, probe(), [2])


class ErrorTest(SwitchTest):
    """Each update of a batch is judged for itself; the good ones count."""

    def runTest(self):
        first = self.entry("exact_table", [1, 1], "forward", [2])
        second = self.entry("exact_table", [2, 1], "forward", [2])
        with self.refused(code_pb2.OK, code_pb2.ALREADY_EXISTS, code_pb2.OK):
            self.write(INSERT, first, first, second)
        with self.refused(code_pb2.NOT_FOUND):
            self.write(DELETE, self.entry("exact_table", [3, 1]))
        with self.refused(code_pb2.INVALID_ARGUMENT):
            self.write(INSERT, self.entry("exact_table", [4], "forward", [2]))
        self.assertEqual(len(self.read(self.entry("exact_table", []))), 2)


class ReplicationTest(SwitchTest):
    """Multicast and cloning, each copy with its instance."""

    def runTest(self):
        group = self.replication("multicast_group_entry", "multicast_group_id", 5, 2, 3)
        session = self.replication("clone_session_entry", "session_id", 9, 4)
        self.write(INSERT, group, session)
        self.write(INSERT, self.entry("exact_table", [1, 1], "multicast", [5]))
        tu.send_packet(self, 1, probe())
        tu.verify_packet(self, probe(key=1), 2)
        tu.verify_packet(self, probe(key=2), 3)
        tu.verify_no_other_packets(self)
        self.write(MODIFY, self.entry("exact_table", [1, 1], "forward", [2]))
        self.write(INSERT, self.entry("ternary_table", [None, None, 1], "clone_to", [9], 7))
        tu.send_packet(self, 1, probe())
        tu.verify_packet(self, probe(), 2)
        tu.verify_packet(self, probe(key=1), 4)
        tu.verify_no_other_packets(self)


class PacketIoTest(SwitchTest):
    """Packet-out by port, packet-in with its metadata."""

    def runTest(self):
        self.packet_out(probe(), egress_port=2)
        tu.verify_packet(self, probe(), 2)
        self.write(INSERT, self.entry("exact_table", [1, 2], "to_cpu", [5]))
        tu.send_packet(self, 2, probe())
        self.assertEqual(self.packet_in(), ({"ingress_port": 2, "reason": 5}, probe()))
        tu.verify_no_other_packets(self)
