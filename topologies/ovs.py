"""Open vSwitch in place of a NIC: one real ovs-vswitchd per server, with a database of its own.

Nothing here touches the system's Open vSwitch: database, sockets and logs live in the lab's run
directory. Where the kernel lacks the openvswitch module, the userspace datapath is used.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from control.connections.flow import ICMPV6
from control.errors import ControlError
from control.ovs.mirrors import MirrorRecord
from control.ovs.plane import BridgeDownError
from control.ovs.program import BridgeProgram
from control.ovs.tables import TUNNEL_PORT
from control.ovs.tracked import Tracked, echo_reply
from control.plane import PortStats
from topologies.errors import LabError
from topologies.nodes import Marked, StoppedTogether, how_ended, tail
from topologies.silicon import start_switch

BRIDGE = "br0"
SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
START_DEADLINE_S = 10.0
COMMAND_S = 60
LAST_BREATH_S = 0.5  # a process that ends refuses connections before its status is there
_PORT_STATS = re.compile(
    r"port +\"?(\d+)\"?[^:]*: rx pkts=(\d+), bytes=(\d+),.*\n *tx pkts=(\d+), bytes=(\d+),"
)
_TOOLS = ("ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl")


def require_open_vswitch() -> None:
    """Raise LabError unless Open vSwitch's programs are installed."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing or not SCHEMA.exists():
        what = ", ".join(missing) or str(SCHEMA)
        raise LabError(
            f"PLANE=ovs needs Open vSwitch, and {what} is not there; install it with: "
            "apt-get install openvswitch-switch"
        )


@cache
def datapath_type() -> str:
    """``system`` where the kernel has the openvswitch module, else ``netdev`` (userspace)."""
    if Path("/sys/module/openvswitch").exists():
        return "system"
    loaded = subprocess.run(["modprobe", "openvswitch"], capture_output=True, check=False)
    return "system" if loaded.returncode == 0 else "netdev"


class OvsSwitch(Marked, StoppedTogether):
    """One server's Open vSwitch: a bridge whose OpenFlow ports carry the P4 NIC's numbers.

    It has a network namespace of its own, into which its ports move: the userspace datapath makes
    devices of fixed names, which two instances in one namespace would fight over.
    """

    def __init__(
        self,
        name: str,
        *,
        wires: dict[int, str],
        tunnel_end: tuple[str, str],
        **params: Any,
    ) -> None:
        params.update(inNamespace=True, dpid="0")
        super().__init__(name, **params)
        self.inNamespace = False  # for the wiring: ports are made outside, and moved by start()
        self.wires = wires
        self.tunnel_address, self.tunnel_mac = tunnel_end
        self.directory = self.rundir.path / f"ovs-{name}"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._ports_taken = False
        self._busy = threading.Lock()  # a program is for one life of the daemons
        self._forget_program()

    def _forget_program(self) -> None:
        """A bridge that was just made holds nothing."""
        self._pointed: dict[str, dict[str, str]] = {"meter": {}, "group": {}}
        self._mirrors: tuple[MirrorRecord, ...] = ()
        self._neighbors: dict[str, str] = {}
        self._limits: dict[int, int] = {}

    @property
    def space(self) -> int:
        """A process in the network namespace that its ports are in."""
        return int(self.pid)

    @property
    def environment(self) -> dict[str, str]:
        """What makes Open vSwitch's programs use this instance."""
        path = str(self.directory)
        return {
            **self.rundir.environment,
            "OVS_RUNDIR": path,
            "OVS_LOGDIR": path,
            "OVS_DBDIR": path,
        }

    @property
    def management(self) -> str:
        """The OpenFlow management socket of the bridge."""
        return f"unix:{self.directory}/{BRIDGE}.mgmt"

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        """Both daemons; none if they were stopped on purpose."""
        return list(self._daemons.values())

    def control_threads(self) -> list[int]:
        """None: the thread of ovs-vswitchd that obeys the controller forwards packets, too."""
        return []

    @property
    def output(self) -> Path:
        """What ovs-vswitchd printed."""
        return self._log("ovs-vswitchd")

    def _log(self, daemon: str) -> Path:
        return self.rundir.logs / f"{self.name}-{daemon}.log"

    def obituary(self) -> str:
        """One paragraph on how a daemon ended that should run."""
        for daemon, process in self._daemons.items():
            if process.poll() is not None:
                text = f"{daemon} of {self.name} {how_ended(process)}. {tail(self._log(daemon))}"
                return text.strip()
        return f"Open vSwitch of {self.name} was not started."

    def start(self, _controllers: list[Any]) -> None:
        """Start both daemons and make the bridge with all ports.

        A daemon that has outlived the other is ended first: they are started together, anew.
        """
        _end(self.processes)
        with self._busy:
            try:
                self._start()
            except ControlError:
                _end(self.processes)
                raise

    def _start(self) -> None:
        self._daemons.clear()
        self._forget_program()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        if not self._ports_taken:
            self._take_ports()
            self._ports_taken = True
        database = self.directory / "conf.db"
        self.run("ovsdb-tool", "create", str(database), str(SCHEMA))
        socket = self.directory / "db.sock"
        self._spawn("ovsdb-server", str(database), f"--remote=punix:{socket}")
        self._await(socket.exists, "ovsdb-server does not listen")
        self._spawn("ovs-vswitchd", f"unix:{socket}")
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "other_config:vlan-limit=2")
        self._make_bridge()

    def _take_ports(self) -> None:
        """Move the switch side of every port into the namespace."""
        names = self.wires.values()
        self.run("ip", "-batch", "-", text=_lines(f"link set {{}} netns {self.pid}", names))
        inside = ("nsenter", f"--net=/proc/{self.pid}/ns/net")
        self.run(*inside, "ip", "-batch", "-", text=_lines("link set {} up", names))

    def _make_bridge(self) -> None:
        """Create the bridge in one transaction; it forwards nothing until it is programmed."""
        words = ["add-br", BRIDGE, "--", "set", "bridge", BRIDGE]
        words += [f"datapath_type={datapath_type()}", "fail_mode=secure"]
        words += ["protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"]
        words += [f"other-config:hwaddr={self.tunnel_mac}"]
        for number, interface in self.wires.items():
            words += ["--", "add-port", BRIDGE, interface]
            words += ["--", "set", "interface", interface, f"ofport_request={number}"]
        words += ["--", "add-port", BRIDGE, "vxlan0", "--", "set", "interface", "vxlan0"]
        words += ["type=vxlan", f"ofport_request={TUNNEL_PORT}"]
        words += ["options:remote_ip=flow", "options:key=flow"]
        self.vsctl(*words)
        inside = ("nsenter", f"--net=/proc/{self.pid}/ns/net")
        underlay = f"addr replace {self.tunnel_address}/16 dev {BRIDGE}\nlink set {BRIDGE} up\n"
        self.run(*inside, "ip", "-batch", "-", text=underlay)

    def stop(self, deleteIntfs: bool = True) -> None:
        """End the daemons."""
        processes = self.processes
        self._daemons.clear()  # first: this is no death to report
        _end(processes)
        shutil.rmtree(self.directory, ignore_errors=True)

    # what the control plane asks: control.ovs.plane.Bridge

    @property
    def alive(self) -> bool:
        """Whether both daemons run."""
        return bool(self._daemons) and all(p.poll() is None for p in self.processes)

    def replace(self, program: BridgeProgram) -> None:
        """Make the bridge hold exactly this program; its rules change in one bundle.

        What rules point at is there before them, and what they pointed at goes after them.
        """
        with self._busy:
            self._replace(program)

    def _replace(self, program: BridgeProgram) -> None:
        self._point("meter", program.meters)
        self._point("group", program.groups)
        text = "\n".join(program.flows) + "\n"
        self.ofctl("--bundle", "replace-flows", "BRIDGE", "-", text=text)
        self._remove("meter", program.meters)
        self._remove("group", program.groups)
        if self._mirrors != program.mirrors:
            self._mirror(program.mirrors)
            self._mirrors = program.mirrors
        for address, mac in program.neighbors.items():
            if self._neighbors.get(address) != mac:
                self.appctl("tnl/neigh/set", BRIDGE, address, mac)
                self._neighbors[address] = mac
        self._limit(program.limits)
        # Version 3.1.0 can revise a cached flow by another's rules, and flows in use would go on
        # without the copies of a new mirror: what the datapath has cached is made anew.
        self.appctl("revalidator/purge")
        self.appctl("revalidator/wait")

    def _point(self, kind: str, wanted: Sequence[str]) -> None:
        """Add meters or groups that are new, and change those that are different."""
        held = self._pointed[kind]
        for text in wanted:
            number = text.partition(",")[0]
            if held.get(number) != text:
                verb = "mod" if number in held else "add"
                self.ofctl(f"{verb}-{kind}", "BRIDGE", text)
                held[number] = text

    def _remove(self, kind: str, wanted: Sequence[str]) -> None:
        """Delete meters or groups that are not wanted any more."""
        held = self._pointed[kind]
        for number in held.keys() - {text.partition(",")[0] for text in wanted}:
            self.ofctl(f"del-{kind}s", "BRIDGE", number)
            del held[number]

    def _mirror(self, mirrors: Sequence[MirrorRecord]) -> None:
        """Make the bridge have exactly these mirror records, in one transaction."""
        used = {p for m in mirrors for p in (*m.sent_by, *m.sent_to, m.output)}
        words = ["clear", "bridge", BRIDGE, "mirrors"]
        for port in sorted(used):
            words += ["--", f"--id=@p{port}", "get", "port", self.wires[port]]
        for number, mirror in enumerate(mirrors):
            words += ["--", f"--id=@m{number}", "create", "mirror", f"name={mirror.name}"]
            words += [f"snaplen={mirror.bytes}"] if mirror.bytes else []
            columns = {"select-src-port": mirror.sent_by, "select-dst-port": mirror.sent_to}
            columns["output-port"] = (mirror.output,)
            for column, ports in columns.items():
                words += [f"{column}=[{','.join(f'@p{port}' for port in ports)}]"] * bool(ports)
            words += ["--", "add", "bridge", BRIDGE, "mirrors", f"@m{number}"]
        self.vsctl(*words)

    def _limit(self, wanted: Mapping[int, int]) -> None:
        """Set how many connections there may be in a zone; 0 is no limit."""
        limits = {**dict.fromkeys(self._limits, 0), **wanted}
        changed = {zone: n for zone, n in limits.items() if self._limits.get(zone, 0) != n}
        if changed:
            words = [f"zone={zone},limit={limit}" for zone, limit in changed.items()]
            self.appctl("dpctl/ct-set-limits", *words)
        self._limits = dict(wanted)

    def connections(self) -> str:
        """All tracked connections, as dpctl/dump-conntrack prints them."""
        return self.appctl("dpctl/dump-conntrack")

    def forget(self, zone: int, connections: Sequence[Tracked] | None = None) -> None:
        """Stop tracking some connections of a zone (default: all)."""
        flush = ("dpctl/flush-conntrack", f"zone={zone}")
        if connections is None:
            self.appctl(*flush)
            return
        for connection in connections:
            if connection.flow.protocol == ICMPV6:
                # Open vSwitch before 3.1.5, 3.2.3 and 3.3.1 aborts when it is told to flush one. A
                # connection that is forced from its far end is dropped too, and echoes start none.
                self._packet_out(echo_reply(connection.flow), f"ct(commit,force,zone={zone})")
            else:
                self.appctl(*flush, connection.text)

    def counters(self) -> dict[int, PortStats]:
        """Counters by OpenFlow port; what the switch received, the guest has sent."""
        found = {}
        for match in _PORT_STATS.finditer(self.ofctl("dump-ports", "BRIDGE")):
            number, *values = (int(value) for value in match.groups())
            found[number] = PortStats(
                tx_packets=values[0], tx_bytes=values[1], rx_packets=values[2], rx_bytes=values[3]
            )
        return found

    def send(self, port: int, frame: bytes) -> None:
        """Send a frame out of a port."""
        self._packet_out(frame, f"output:{port}")

    def _packet_out(self, frame: bytes, actions: str) -> None:
        """Let the bridge do something with a frame."""
        what = f"in_port=controller,packet={frame.hex()},actions={actions}"
        self.ofctl("packet-out", "BRIDGE", what)

    # commands

    def vsctl(self, *words: str) -> str:
        """Run ovs-vsctl against this instance's database."""
        return self.run("ovs-vsctl", f"--db=unix:{self.directory}/db.sock", *words)

    def ofctl(self, *words: str, text: str = "") -> str:
        """Run ovs-ofctl with OpenFlow 1.5; the word BRIDGE stands for this bridge."""
        words = tuple(self.management if word == "BRIDGE" else word for word in words)
        return self.run("ovs-ofctl", "-O", "OpenFlow15", *words, text=text)

    def appctl(self, *words: str) -> str:
        """Run ovs-appctl against this instance's ovs-vswitchd."""
        return self.run("ovs-appctl", "-t", "ovs-vswitchd", *words)

    def run(self, *words: str, text: str = "") -> str:
        """Run a program. Raises LabError with its words; BridgeDownError if a daemon has ended."""
        try:
            result = subprocess.run(
                words,
                input=text,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=COMMAND_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            what = f"{' '.join(words[:4])} was not done in {COMMAND_S} s"
            raise LabError(f"{self.name}: {what}; see {self.output}") from None
        if result.returncode:
            if self._dying():
                raise BridgeDownError(self.obituary())
            what = f"{' '.join(words[:4])} failed: {result.stderr.strip()}"
            raise LabError(f"{self.name}: {what}")
        return result.stdout

    def _dying(self) -> bool:
        """Whether a daemon has ended, or does so now."""
        deadline = time.monotonic() + LAST_BREATH_S
        while self.alive:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return bool(self._daemons)

    def _spawn(self, *command: str) -> None:
        """Start a daemon in the foreground of its own session, recorded for clean-up."""
        with self._log(command[0]).open("ab") as log:
            process = start_switch(
                ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command, "--pidfile"],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        self._daemons[command[0]] = process
        self.rundir.record_process(process.pid)

    def _await(self, condition: Callable[[], bool], complaint: str) -> None:
        """Wait until a condition holds or the deadline passes."""
        deadline = time.monotonic() + START_DEADLINE_S
        while not condition():
            if time.monotonic() > deadline:
                raise LabError(f"{self.name}: {complaint}; see {self.rundir.logs}.")
            time.sleep(0.01)


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End daemons, the switch before its database."""
    for process in reversed(processes):
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _lines(template: str, names: Iterable[str]) -> str:
    """One command per name."""
    return "".join(template.format(name) + "\n" for name in names)
