"""Guest memory on its way between two servers: real bytes over TCP from PF to PF.

Sockets belong to the network namespace of the thread that makes them, so the lab's process holds
both ends: one made inside each server. What crosses the network contends with the VMs' traffic.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from topologies.errors import LabError
from topologies.namespace import inside

CONNECT_S = 3.0
STALL_S = 5.0
_AGAIN_S = 0.05
# Little enough for the shortest queue on the way, so that nobody's frames drop.
IN_FLIGHT = 64 << 10
_CHUNK = 1 << 20
_ACK = b"k"


class MemoryChannel:
    """A TCP connection between two servers over which guest memory travels."""

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        self._sender, self._receiver = sender, receiver
        self._pages = bytes(_CHUNK)

    async def send(self, octets: int) -> None:
        """Move that many bytes; returns when the other server has them all.

        Raises LabError if the path stalls or breaks. Cancelled, it ends the connection.
        """
        if octets == 0:
            return
        receiving = asyncio.create_task(asyncio.to_thread(self._receive, octets))
        try:
            await asyncio.to_thread(self._send, octets)
        except asyncio.CancelledError:
            self._end()  # or both threads would go on to the last byte
            raise
        except OSError as error:
            raise LabError(f"guest memory does not reach the other server: {error}.") from None
        finally:
            with contextlib.suppress(OSError):
                await receiving

    def _end(self) -> None:
        """Let a ``send`` that is under way fail now."""
        for end in (self._sender, self._receiver):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _send(self, octets: int) -> None:
        """Send and wait for the acknowledgement."""
        left = octets
        while left:
            left -= self._sender.send(memoryview(self._pages)[: min(left, _CHUNK)])
        if self._sender.recv(1) != _ACK:
            raise ConnectionError("the connection was closed")

    def _receive(self, octets: int) -> None:
        """Take the bytes and acknowledge the last of them."""
        buffer = bytearray(_CHUNK)
        left = octets
        while left:
            count = self._receiver.recv_into(buffer, min(left, _CHUNK))
            if not count:
                return
            left -= count
        self._receiver.sendall(_ACK)


@asynccontextmanager
async def memory_channel(
    source_pid: int, destination_pid: int, address: str
) -> AsyncIterator[MemoryChannel]:
    """Connect the namespace of one process to ``address`` in that of another.

    Raises LabError if the connection is not made within CONNECT_S seconds.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as stack:
        try:
            listener = stack.enter_context(
                inside(destination_pid, lambda: _listen(family, address))
            )
            connecting = _connected(source_pid, family, listener.getsockname()[:2])
            sender = stack.enter_context(await asyncio.wait_for(connecting, CONNECT_S))
            receiver, _ = await asyncio.wait_for(loop.sock_accept(listener), CONNECT_S)
            stack.enter_context(receiver)
        except (OSError, asyncio.TimeoutError) as problem:
            error = problem if str(problem) else f"no answer in {CONNECT_S:g} s"
            raise LabError(
                f"the servers' PFs do not reach each other ({address}: {error}); guest memory "
                "cannot be copied. Check both uplinks and the top-of-rack switch."
            ) from None
        for end in (sender, receiver):
            end.settimeout(STALL_S)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield MemoryChannel(sender, receiver)


async def _connected(
    source_pid: int, family: socket.AddressFamily, address: tuple[str, int]
) -> socket.socket:
    """A connection; again where the kernel found nobody: it may have asked before the path was.

    With a new socket each time: one that did not get there first tells of that once more.
    """
    while True:
        with contextlib.ExitStack() as stack:
            sender = stack.enter_context(inside(source_pid, lambda: _unconnected(family)))
            try:
                await asyncio.get_running_loop().sock_connect(sender, address)
            except OSError as error:
                if error.errno != errno.EHOSTUNREACH:
                    raise
            else:
                stack.pop_all()
                return sender
        await asyncio.sleep(_AGAIN_S)


def _unconnected(family: socket.AddressFamily) -> socket.socket:
    sender = socket.socket(family, socket.SOCK_STREAM)
    sender.setblocking(False)
    return sender


def _listen(family: socket.AddressFamily, address: str) -> socket.socket:
    listener = socket.create_server((address, 0), family=family, backlog=1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, IN_FLIGHT)
    listener.setblocking(False)
    return listener
