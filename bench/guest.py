"""Small programs that run inside VMs: probes with sequence numbers, short requests, connections.

Only the standard library; each is started as ``python guest.py WORD ARGS`` in a VM's namespace and
prints one JSON object when its time is over or its standard input closes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import select
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

_PROBE = struct.Struct("!Qd")
_REPLY = b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"
_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33  # linux/asm-generic/socket.h: beyond the limits, as root
_FLOW_PORT, _FLOWS = 20_000, 32_768
_TIMEOUT_S = 10.0
_MAKE_UP_S = 0.01
_GRACE_S = 1.0
_PATIENCE_S = 0.2


def _until(seconds: float) -> Iterator[float]:
    """The time, over and over, for ``seconds``, or if that is 0 until standard input closes.

    Then "ready" is said after the first time: what was to be done is being done.
    """
    began = time.monotonic()
    for number in itertools.count():
        now = time.monotonic()
        if now - began >= seconds if seconds else select.select([sys.stdin], [], [], 0)[0]:
            return
        yield now
        if not seconds and not number:
            print("ready", flush=True)


def probe_send(
    address: str, port: int, rate: float, seconds: float, padding: int = 0
) -> dict[str, Any]:
    """Send ``rate`` numbered datagrams per second; tell how many. 0 seconds: until told to end.

    ``padding`` bytes follow each number.

    After a pause the rest is left out: a burst of all of it would overflow a queue on the way.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect((address, port))
        due, count = time.monotonic(), 0
        for now in _until(seconds):
            due = max(due + 1 / rate, now - _MAKE_UP_S)
            if now < due:
                time.sleep(due - now)
            with contextlib.suppress(OSError):
                sender.send(_PROBE.pack(count, time.monotonic()) + bytes(padding))
            count += 1
    return {"sent": count}


def probe_receive(port: int) -> dict[str, Any]:
    """Receive probes until standard input closes; tell what came, how often, in what order.

    Standard input may end with the number that were sent: those not here yet are waited for, a
    while. ``missing`` are the first of the numbers that never came.
    """
    seen: set[int] = set()
    duplicated = reordered = highest = 0
    arrivals: list[float] = []
    for number in _probes(port, seen):
        arrivals.append(time.monotonic())
        duplicated += number in seen
        reordered += number < highest
        highest = max(highest, number)
        seen.add(number)
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    return {
        "received": len(seen),
        "duplicated": duplicated,
        "reordered": reordered,
        "longest_gap_ms": max(gaps, default=0.0) * 1e3,
        "missing": list(itertools.islice((n for n in range(highest) if n not in seen), 20)),
    }


def _probes(port: int, seen: set[int]) -> Iterator[int]:
    """The numbers that arrive, those that are here or on their way at the end included."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
        receiver.bind(("", port))
        print("ready", flush=True)
        while select.select([receiver, sys.stdin], [], [])[0] != [sys.stdin]:
            yield _PROBE.unpack_from(receiver.recv(64))[0]
        sent, deadline = int(sys.stdin.readline() or 0), time.monotonic() + _GRACE_S
        while len(seen) < sent and (left := deadline - time.monotonic()) > 0:
            if select.select([receiver], [], [], left)[0]:
                yield _PROBE.unpack_from(receiver.recv(64))[0]


def echo(port: int) -> dict[str, Any]:
    """Answer datagrams with themselves; standard input is looked at whenever none has come."""
    answered = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("", port))
        _patience(server)
        print("ready", flush=True)
        while True:
            try:
                data, sender = server.recvfrom(64)
                server.sendto(data, sender)
                answered += 1
            except OSError:
                if select.select([sys.stdin], [], [], 0)[0]:
                    return {"answered": answered}


def _patience(sock: socket.socket) -> None:
    """Let a receive give up after a while; a timeout in Python would cost a poll per receive."""
    micros = struct.pack("ll", 0, int(_PATIENCE_S * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, micros)


def ping_pong(address: str, port: int, seconds: float) -> dict[str, Any]:
    """Send one request after another, each when the one before is answered or given up.

    Tells the round trips in microseconds, and how long those given up had waited at the end.
    """
    answered: list[float] = []
    given_up: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((address, port))
        _patience(client)
        began = now = time.perf_counter()
        for number in itertools.count():
            if (sent := now) > began + seconds:
                break
            if _one_round_trip(client, _PROBE.pack(number, sent)):
                now = time.perf_counter()
                answered.append((now - sent) * 1e6)
            else:
                now = time.perf_counter()
                given_up.append(sent)
    return {"rtt_us": answered, "unanswered_us": [(now - sent) * 1e6 for sent in given_up]}


def _one_round_trip(client: socket.socket, request: bytes) -> bool:
    """Send a request; whether its answer came. Late answers to others are passed over."""
    try:
        client.send(request)
        while client.recv(64) != request:
            pass
    except OSError:
        return False
    return True


def round_trips(address: str, port: int, rate: float, seconds: float) -> dict[str, Any]:
    """Send ``rate`` requests per second, whether or not those before were answered.

    Tells the round trips in microseconds, and for each request without an answer how long it had
    been waiting when the time, and ``_GRACE_S`` more, was over.
    """
    open_since: dict[int, float] = {}
    answered: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((address, port))
        client.setblocking(False)
        began, count = time.monotonic(), 0
        while (now := time.monotonic()) < began + seconds + (_GRACE_S if open_since else 0):
            due = began + count / rate
            if now >= due and now < began + seconds:
                open_since[count] = now
                with contextlib.suppress(OSError):
                    client.send(_PROBE.pack(count, now))
                count += 1
                continue
            wait = due - now if due < began + seconds else began + seconds + _GRACE_S - now
            if select.select([client], [], [], max(0.0, wait))[0]:
                _take_answers(client, open_since, answered)
    end = time.monotonic()
    return {
        "rtt_us": [value * 1e6 for value in answered],
        "unanswered_us": [(end - since) * 1e6 for since in open_since.values()],
    }


def _take_answers(
    client: socket.socket, open_since: dict[int, float], answered: list[float]
) -> None:
    """Read all answers that are there."""
    with contextlib.suppress(OSError):
        while True:
            number, _ = _PROBE.unpack(client.recv(64))
            if number in open_since:
                answered.append(time.monotonic() - open_since.pop(number))


def serve(port: int) -> dict[str, Any]:
    """Answer short requests, one per connection, until standard input closes."""
    served = 0
    selector = selectors.DefaultSelector()
    with socket.create_server(("", port), backlog=4096) as listener:
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ)
        for ready in _until_told(selector):
            if ready is listener:
                _accept(listener, selector)
            else:
                served += _answer(ready, selector)
    return {"served": served}


def _until_told(selector: selectors.BaseSelector) -> Iterator[socket.socket]:
    """Say that the service is ready; then its sockets that can be read, until told to end."""
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                selector.unregister(sys.stdin)
                return
            assert isinstance(key.fileobj, socket.socket)
            yield key.fileobj


def _accept(listener: socket.socket, selector: selectors.BaseSelector) -> None:
    """Take all connections that wait."""
    with contextlib.suppress(BlockingIOError):
        while True:
            client, _ = listener.accept()
            client.setblocking(False)
            selector.register(client, selectors.EVENT_READ)


def _answer(client: socket.socket, selector: selectors.BaseSelector) -> int:
    """Answer one request and close."""
    selector.unregister(client)
    with client, contextlib.suppress(OSError):
        if client.recv(1024):
            client.sendall(_REPLY)
            return 1
    return 0


def request(address: str, port: int, rate: float, seconds: float) -> dict[str, Any]:
    """Make short requests one after another, ``rate`` per second at most (0: unlimited).

    0 seconds: until told to end.
    """
    done, broken, slowest = 0, 0, 0.0
    began = time.monotonic()
    for now in _until(seconds):
        if rate and now < (due := began + (done + broken) / rate):
            time.sleep(due - now)
        started = time.monotonic()
        if _one_request(address, port):
            done += 1
        else:
            broken += 1
        slowest = max(slowest, time.monotonic() - started)
    elapsed = time.monotonic() - began
    return {"done": done, "broken": broken, "slowest_ms": slowest * 1e3, "per_s": done / elapsed}


def _one_request(address: str, port: int) -> bool:
    """Connect, ask, read the answer to its end; whether all of it worked.

    Who closes first keeps the port in TIME_WAIT for a minute. That must be the server: a client
    whose ports are all taken searches through thousands of them for each connection.
    """
    try:
        with socket.create_connection((address, port), timeout=_TIMEOUT_S) as stream:
            stream.sendall(_REQUEST)
            return b"".join(iter(partial(stream.recv, 1024), b"")) == _REPLY
    except OSError:
        return False


def flows_send(target: str, port: int, first: int, rate: float, seconds: float) -> dict[str, Any]:
    """Begin ``rate`` UDP flows per second, whether or not anybody keeps up; tell how many.

    Flow ``n``, counted from ``first``, has ports of its own: 32,768 source ports are used in turn,
    and then the target's port goes up by one. Its only datagram has its number and the time.
    """
    ends = bytes(4) + socket.inet_aton(target)  # the kernel fills in the source
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        sender.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 1 << 24)
        began, count, total = time.monotonic(), 0, int(rate * seconds)
        while count < total and (now := time.monotonic()) - began < 2 * seconds:
            due = min(int((now - began) * rate) + 1, total)
            for number in range(first + count, first + due):
                body = _PROBE.pack(number, time.monotonic())
                ports = (_FLOW_PORT + number % _FLOWS, port + number // _FLOWS)
                udp = struct.pack("!HHHH", *ports, 8 + len(body), 0)
                head = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(body), 0, 0, 64, 17, 0)
                sender.sendto(head + ends + udp + body, (target, 0))
            count = due
            time.sleep(0.001)
        return {"sent": count, "per_s": count / (time.monotonic() - began)}


def flows_receive(port: int, ports: int) -> dict[str, Any]:
    """Receive the flows' datagrams; tell what came, and how late.

    Standard input ends with the number that were sent: those not here yet are waited for, a while.
    """
    late: dict[int, float] = {}
    selector = selectors.DefaultSelector()
    with contextlib.ExitStack() as stack:
        for number in range(port, port + ports):
            receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
            receiver.setblocking(False)
            receiver.bind(("", number))
            selector.register(receiver, selectors.EVENT_READ)
        for ready in _until_told(selector):
            _take_flows(ready, late)
        sent, deadline = int(sys.stdin.readline()), time.monotonic() + _GRACE_S
        while len(late) < sent and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                assert isinstance(key.fileobj, socket.socket)
                _take_flows(key.fileobj, late)
    return _lateness(late)


def _take_flows(receiver: socket.socket, late: dict[int, float]) -> None:
    """Read all datagrams that are there; how late each is."""
    with contextlib.suppress(BlockingIOError):
        while True:
            number, sent = _PROBE.unpack(receiver.recv(64))
            late.setdefault(number, time.monotonic() - sent)


def _lateness(late: dict[int, float]) -> dict[str, Any]:
    """How many datagrams came, and the median and worst of their delays."""
    delays = sorted(late.values()) or [0.0]
    return {
        "received": len(late),
        "p50_ms": delays[len(delays) // 2] * 1e3,
        "p99_ms": delays[len(delays) * 99 // 100] * 1e3,
        "max_ms": delays[-1] * 1e3,
    }


_WORDS: dict[str, tuple[Callable[..., dict[str, Any]], tuple[type, ...]]] = {
    "probe-send": (probe_send, (str, int, float, float)),
    "load-send": (probe_send, (str, int, float, float, int)),
    "probe-receive": (probe_receive, (int,)),
    "echo": (echo, (int,)),
    "ping-pong": (ping_pong, (str, int, float)),
    "round-trips": (round_trips, (str, int, float, float)),
    "serve": (serve, (int,)),
    "request": (request, (str, int, float, float)),
    "flows-send": (flows_send, (str, int, int, float, float)),
    "flows-receive": (flows_receive, (int, int)),
}


def main(words: list[str]) -> None:
    """Run one word with its arguments."""
    function, kinds = _WORDS[words[0]]
    arguments = [kind(text) for kind, text in zip(kinds, words[1:], strict=True)]
    print(json.dumps(function(*arguments)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
