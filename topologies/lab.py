"""The lab as a whole: the one place where the network and its controller are put together."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from control.client import Client
from control.events import EventBus
from control.model import Server as ServerModel
from control.model import Vm
from control.plane import Plane
from control.service import Controller
from control.store import Store
from topologies.errors import LabError
from topologies.hypervisor import Hypervisor
from topologies.loader import load
from topologies.loop import LoopThread
from topologies.machine import Machine
from topologies.network import LabNetwork, Ports
from topologies.nodes import Nic
from topologies.planes import Parts, plane
from topologies.rundir import Removed, RunDirectory
from topologies.spec import Topology
from topologies.toolchain import (
    Choice,
    Program,
    choose_compiler,
    compile_program,
)
from topologies.uplinks import Report, UplinkWatch
from topologies.watchdog import Watchdog

READY_S = 30.0
_T = TypeVar("_T")
_Node = TypeVar("_Node", Vm, ServerModel)


@dataclass(frozen=True)
class Options:
    """How a lab is started; the defaults are those of ``make run``."""

    target: str = "auto"
    compiler: str = "auto"
    plane: str = "hybrid"
    program: Path | None = None
    run_dir: Path | None = None
    ports: Ports = field(default_factory=Ports)
    resume: bool = False


class Lab:
    """A running lab. Use as a context manager, from one thread.

    ``with Lab("two_servers") as lab: lab.vm("vm1").pings(lab.vm("vm3").ip)``
    """

    def __init__(self, topology: str | Topology, options: Options | None = None) -> None:
        self.options = options or Options()
        self.topology = load(topology) if isinstance(topology, str) else topology
        self.kit = plane(self.options.plane, self.options.program)
        if self.kit.guest_model is not None:
            self.topology = self.topology.with_guest_model(self.kit.guest_model)
        self.target: Choice = self.kit.target(self.options.target)
        self.compiler: Choice = choose_compiler(self.options.compiler)
        self.rundir = RunDirectory(self.options.run_dir)
        self.bus = EventBus()
        self.removed = Removed()
        self._closing: list[Callable[[], object]] = []
        self._network: LabNetwork | None = None
        self._controller: Controller | None = None
        self._watchdog: Watchdog | None = None
        self._loop: LoopThread | None = None

    # life cycle

    def start(self, progress: Callable[[str], None] = lambda _: None) -> Lab:
        """Bring everything up; on failure nothing is left behind. Raises LabError, ControlError."""
        if os.geteuid() != 0:
            raise LabError(
                "the lab makes network namespaces and interfaces, which only root may do; "
                "run it as root: sudo make run"
            )
        try:
            self._start(progress)
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self, progress: Callable[[str], None]) -> None:
        self.removed = self.rundir.acquire()
        self._closing.append(self.rundir.release)
        self._log_to_file()
        with ThreadPoolExecutor(1) as pool:
            progress(f"wiring {self.topology.name}")
            compiling = pool.submit(self._compile)
            self._build()
            program = compiling.result()
        progress("programming the NICs")
        self._loop = LoopThread("controller")
        self._closing.append(self._loop.stop)
        self._loop.run(self._control(program))

    def _compile(self) -> Program | None:
        """The plane's P4 program, compiled; None if it has none."""
        source = self.kit.source
        return None if source is None else compile_program(source, self.compiler.name)

    def _build(self) -> None:
        """Create the network; from here on it must be stopped."""
        self._network = LabNetwork(
            self.topology,
            self.target.name,
            self.rundir,
            self.options.ports,
            self.kit.add_switch,
            offloads=self.kit.offloads(self.target),
        )
        self._closing.append(self._network.stop)
        self._network.build()

    async def _control(self, program: Program | None) -> None:
        """Start the controller, its API and the watchdog, in the controller's loop."""
        store = self._store()
        hypervisor = Hypervisor(self.network)
        parts = Parts(self.network, program, store, self.bus, hypervisor, self.describe())
        controller = self.kit.controller(parts)
        self._controller = controller
        self._close_async(controller.stop)
        restarted = controller.fabric.restarted
        watchdog = Watchdog(self.network.nics.values(), self.bus, restarted)
        await hypervisor.prepare()
        await _unless_dead(controller.start(self.topology.state(), READY_S), watchdog)
        watchdog.start()
        self._watchdog = watchdog
        self._close_async(watchdog.stop)
        for space, uplinks in self.network.uplink_spaces().items():
            watch = UplinkWatch(uplinks, self._links(controller.fabric), space)
            watch.start()
            self._close_async(watch.stop)
        from control.api import ApiServer  # here, so that what is refused is refused at once

        server = ApiServer(controller, self.rundir.socket)
        await server.start()
        self._close_async(server.stop)

    def _links(self, fabric: Plane) -> Report:
        """What both ends of the uplinks do when links come and go."""

        async def changed(nic: str, up: frozenset[int]) -> None:
            tor = asyncio.to_thread(self.network.set_links, nic, up)
            await asyncio.gather(tor, fabric.set_uplinks(nic, up))

        return changed

    def _store(self) -> Store:
        """The state file; a new one unless the last lab's state is to be taken up."""
        database = self.rundir.path / "state.db"
        if not self.options.resume:
            for suffix in ("", "-wal", "-shm"):
                Path(f"{database}{suffix}").unlink(missing_ok=True)
        return Store(database)

    def _close_async(self, stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine function at the end, in the controller's loop."""
        self._closing.append(lambda: self.run(stop()))

    def _log_to_file(self) -> None:
        """Send all logging to the run directory, none to the terminal."""
        handler = logging.FileHandler(self.rundir.logs / "lab.log")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root = logging.getLogger()
        root.addHandler(handler)
        root.setLevel(logging.INFO)

        def remove() -> None:
            root.removeHandler(handler)
            handler.close()

        self._closing.append(remove)

    def stop(self) -> None:
        """Take everything down, in reverse order; a failure does not keep the rest from it."""
        while self._closing:
            close = self._closing.pop()
            try:
                close()
            except Exception:
                logging.getLogger(__name__).exception("while stopping the lab")

    def __enter__(self) -> Lab:
        return self.start()

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    # parts

    @property
    def network(self) -> LabNetwork:
        """The Mininet network."""
        if self._network is None:
            raise LabError("the lab has not been started")
        return self._network

    @property
    def controller(self) -> Controller:
        """The controller; its coroutines go through ``run``."""
        if self._controller is None:
            raise LabError("the lab has not been started")
        return self._controller

    def run(self, work: Coroutine[Any, Any, _T], timeout: float | None = None) -> _T:
        """Run a coroutine in the controller's loop and wait for its result."""
        if self._loop is None:
            work.close()
            raise LabError("the lab has not been started")
        return self._loop.run(work, timeout)

    def spawn(self, work: Coroutine[Any, Any, None]) -> Callable[[], object]:
        """Start a coroutine in the controller's loop; returns a function that cancels it."""
        if self._loop is None:
            work.close()
            raise LabError("the lab has not been started")
        return asyncio.run_coroutine_threadsafe(work, self._loop.loop).cancel

    def power(self, name: str, *, on: bool) -> None:
        """Start a NIC's switch process, or stop it until it is started. Raises LabError."""
        nic = self.network.nics.get(name)
        if not isinstance(nic, Nic):
            known = ", ".join(n for n, nic in self.network.nics.items() if isinstance(nic, Nic))
            raise LabError(f"there is no P4 NIC {name!r}; there are: {known or 'none'}")
        if on == (nic.process is not None):
            raise LabError(f"{name} {'runs already' if on else 'is stopped already'}")
        if not on:
            nic.stop()
            return
        nic.start([])
        self.run(self._watch(nic))

    async def _watch(self, nic: Nic) -> None:
        """Watch a NIC that was started again."""
        if self._watchdog is not None:
            self._watchdog.watch(nic)

    def client(self) -> Client:
        """A client of the control API."""
        return Client(self.rundir.socket)

    def vm(self, name: str) -> Machine:
        """A VM by name; LabError if there is none."""
        vm = _named(self.topology.vms, name, "VM")
        return Machine(self.network.node(name), vm.mac, vm.ips)

    def server(self, name: str) -> Machine:
        """A server by name; LabError if there is none."""
        server = _named(self.topology.servers, name, "server")
        return Machine(self.network.node(name), server.mac, server.ips)

    def describe(self) -> str:
        """Topology and tools, with why they were chosen, in one line."""
        target, compiler = self.target, self.compiler
        compiled = f", compiler {compiler.name} ({compiler.reason})" if self.kit.source else ""
        return (
            f"{self.topology.name}: {self.topology.description}; "
            f"plane {self.kit.name}, switch {target.name} ({target.reason}){compiled}"
        )


def _named(nodes: Sequence[_Node], name: str, kind: str) -> _Node:
    """The node of that name; LabError with the names that there are."""
    for node in nodes:
        if node.name == name:
            return node
    raise LabError(f"there is no {kind} {name!r}; there are: {', '.join(n.name for n in nodes)}")


async def _unless_dead(starting: Coroutine[Any, Any, None], watchdog: Watchdog) -> None:
    """Wait for the controller's start; LabError as soon as a switch process dies meanwhile."""
    start = asyncio.ensure_future(starting)
    death = asyncio.ensure_future(watchdog.first_death())
    await asyncio.wait({start, death}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not start.done():
            raise LabError(death.result())
        start.result()
    finally:
        for task in (start, death):
            task.cancel()
        await asyncio.gather(start, death, return_exceptions=True)
