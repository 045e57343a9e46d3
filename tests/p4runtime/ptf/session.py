"""A P4Runtime client for PTF's tests: names from the P4Info, messages from the plain stubs."""

import itertools
import queue
import threading
from contextlib import contextmanager

import grpc
import ptf
import ptf.testutils as tu
from google.protobuf import text_format
from google.rpc import code_pb2, status_pb2
from p4.config.v1 import p4info_pb2
from p4.v1 import p4runtime_pb2, p4runtime_pb2_grpc
from ptf.base_tests import BaseTest

TIMEOUT_S = 10
INSERT, MODIFY, DELETE = 1, 2, 3
_elections = itertools.count(1)


def octets(value):
    """The canonical byte string of a number."""
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


class SwitchTest(BaseTest):
    """A primary client of a switch with a fresh pipeline, and PTF's ports on the switch's."""

    def setUp(self):
        BaseTest.setUp(self)
        self.dataplane = ptf.dataplane_instance
        self.dataplane.flush()
        self.info = p4info_pb2.P4Info()
        with open(tu.test_param_get("p4info")) as file:
            text_format.Parse(file.read(), self.info)
        self.channel = grpc.insecure_channel(tu.test_param_get("grpcaddr"))
        self.stub = p4runtime_pb2_grpc.P4RuntimeStub(self.channel)
        self._open_stream()
        self._push_pipeline()

    def tearDown(self):
        self._outgoing.put(None)
        self._reader.join(TIMEOUT_S)
        self.channel.close()
        BaseTest.tearDown(self)

    def _open_stream(self):
        self._outgoing, self._incoming = queue.Queue(), queue.Queue()
        responses = self.stub.StreamChannel(iter(self._outgoing.get, None))
        self._reader = threading.Thread(target=self._collect, args=(responses,))
        self._reader.start()
        self.election_id = p4runtime_pb2.Uint128(low=next(_elections))
        hello = p4runtime_pb2.StreamMessageRequest()
        hello.arbitration.device_id = 1
        hello.arbitration.election_id.CopyFrom(self.election_id)
        self._outgoing.put(hello)
        assert self.next_message("arbitration").status.code == code_pb2.OK

    def _collect(self, responses):
        try:
            for response in responses:
                self._incoming.put(response)
        except grpc.RpcError as error:
            self._incoming.put(error)

    def _push_pipeline(self):
        request = p4runtime_pb2.SetForwardingPipelineConfigRequest(
            device_id=1, election_id=self.election_id
        )
        request.action = request.VERIFY_AND_COMMIT
        request.config.p4info.CopyFrom(self.info)
        with open(tu.test_param_get("config"), "rb") as file:
            request.config.p4_device_config = file.read()
        self.stub.SetForwardingPipelineConfig(request, timeout=60)

    def next_message(self, kind):
        """The next stream message of a kind; others before it are passed over."""
        while True:
            message = self._incoming.get(timeout=TIMEOUT_S)
            if isinstance(message, grpc.RpcError):
                raise message
            if message.WhichOneof("update") == kind:
                return getattr(message, kind)

    def object(self, kind, name):
        """A P4Info object by its alias."""
        return next(o for o in getattr(self.info, kind) if o.preamble.alias == name)

    def entry(self, table, matches, action=None, params=(), priority=0):
        """A table entry: a match is a value, or (value, mask) of a ternary field, or None."""
        info = self.object("tables", table)
        entity = p4runtime_pb2.Entity()
        entry = entity.table_entry
        entry.table_id, entry.priority = info.preamble.id, priority
        for field, value in zip(info.match_fields, matches, strict=False):
            if value is None:
                continue
            match = entry.match.add(field_id=field.id)
            if isinstance(value, tuple):
                match.ternary.value, match.ternary.mask = map(octets, value)
            else:
                match.exact.value = octets(value)
        if action is not None:
            chosen = self.object("actions", action)
            entry.action.action.action_id = chosen.preamble.id
            for param, value in zip(chosen.params, params, strict=True):
                entry.action.action.params.add(param_id=param.id, value=octets(value))
        return entity

    def counter(self, name, index):
        """A cell of a counter array."""
        entity = p4runtime_pb2.Entity()
        entity.counter_entry.counter_id = self.object("counters", name).preamble.id
        entity.counter_entry.index.index = index
        return entity

    def replication(self, kind, key, number, *ports):
        """A multicast group or a clone session with one replica per port."""
        entity = p4runtime_pb2.Entity()
        entry = getattr(entity.packet_replication_engine_entry, kind)
        setattr(entry, key, number)
        for instance, port in enumerate(ports, 1):
            entry.replicas.add(egress_port=port, instance=instance)
        return entity

    def write(self, kind, *entities):
        """Write a batch of updates of one kind."""
        request = p4runtime_pb2.WriteRequest(device_id=1, election_id=self.election_id)
        for entity in entities:
            request.updates.add(type=kind).entity.CopyFrom(entity)
        self.stub.Write(request, timeout=TIMEOUT_S)

    def read(self, entity):
        """All entities that a read of one returns."""
        request = p4runtime_pb2.ReadRequest(device_id=1, entities=[entity])
        pieces = self.stub.Read(request, timeout=TIMEOUT_S)
        return [found for piece in pieces for found in piece.entities]

    @contextmanager
    def refused(self, *codes):
        """The block's write fails with these codes, one per update."""
        with self.assertRaises(grpc.RpcError) as raised:
            yield
        error = raised.exception
        assert error.code() == grpc.StatusCode.UNKNOWN, error
        trailers = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        found = []
        for detail in status.details:
            update = p4runtime_pb2.Error()
            detail.Unpack(update)
            found.append(update.canonical_code)
        self.assertEqual(found, list(codes))

    def packet_out(self, payload, **metadata):
        """Send a packet-out with metadata by name."""
        message = p4runtime_pb2.StreamMessageRequest()
        message.packet.payload = payload
        for field in self.object("controller_packet_metadata", "packet_out").metadata:
            item = message.packet.metadata.add(metadata_id=field.id)
            item.value = octets(metadata.get(field.name, 0))
        self._outgoing.put(message)

    def packet_in(self):
        """The next packet-in: its metadata by name, and its payload."""
        packet = self.next_message("packet")
        fields = self.object("controller_packet_metadata", "packet_in").metadata
        names = {field.id: field.name for field in fields}
        values = {
            names[item.metadata_id]: int.from_bytes(item.value, "big") for item in packet.metadata
        }
        return values, packet.payload
