"""The bounded queue between the server and one client's stream.

A slow reader fills its own queue and nobody else's: what does not fit is dropped and counted by
kind. Arbitration is never dropped; a client that lets it pile up loses its stream.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator

from finsy.proto import p4r

from p4native.p4runtime.errors import P4RuntimeError, resource_exhausted

MAX_MESSAGES = 8192
MAX_BYTES = 32 << 20
# Errors are for debugging: they give way first when a client does not keep up.
_MAX_ERRORS = 256
_MAX_ARBITRATION = 1024
# Messages taken out at once: fewer turns of the lock when packets come in bursts.
_TAKEN = 64


class Outbox:
    """Messages waiting for one stream; any thread puts, the stream's own thread iterates."""

    def __init__(self, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        """Hold at most `max_messages` messages of `max_bytes` bytes in all."""
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._queue: deque[tuple[bytes, str]] = deque()
        self._bytes = 0
        self._waiting: Counter[str] = Counter()
        self._ready = threading.Condition()
        self._closed = False
        self._failure: P4RuntimeError | None = None
        self._stats: Counter[str] = Counter()

    def send(self, message: p4r.StreamMessageResponse) -> None:
        """Queue `message`, or count it as dropped; never blocks."""
        self._put(message.WhichOneof("update") or "other", (message.SerializeToString(),))

    def send_packets(self, packets: Iterable[bytes]) -> None:
        """Queue encoded packet-ins in order, with one wake-up for all of them; never blocks."""
        self._put("packet", packets)

    def _put(self, kind: str, messages: Iterable[bytes]) -> None:
        with self._ready:
            for message in messages:
                size = len(message)
                if not self._closed and self._fits(kind, size):
                    self._queue.append((message, kind))
                    self._bytes += size
                    self._waiting[kind] += 1
                elif kind == "arbitration" and not self._closed:
                    self._close(resource_exhausted("client does not read its arbitration updates"))
                else:
                    self._stats[f"stream_dropped_{kind}"] += 1
            self._ready.notify()

    def close(self, failure: P4RuntimeError | None = None) -> None:
        """End the iteration once the queue is empty; `failure` ends it at once, by raising."""
        with self._ready:
            self._close(failure)

    def stats(self) -> dict[str, int]:
        """Return the numbers of messages sent and dropped, by kind."""
        with self._ready:
            return dict(self._stats)

    def __iter__(self) -> Iterator[bytes]:
        """Yield encoded messages as they come, until closed."""
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._queue or self._closed)
                if self._failure is not None:
                    raise self._failure
                if not self._queue:
                    return
                taken = [self._queue.popleft() for _ in range(min(_TAKEN, len(self._queue)))]
                for message, kind in taken:
                    self._bytes -= len(message)
                    self._waiting[kind] -= 1
                    self._stats[f"stream_sent_{kind}"] += 1
            for message, _ in taken:
                yield message

    def _fits(self, kind: str, size: int) -> bool:
        if kind == "arbitration":
            return self._waiting[kind] < _MAX_ARBITRATION
        if kind == "error" and self._waiting[kind] >= _MAX_ERRORS:
            return False
        return len(self._queue) < self._max_messages and self._bytes + size <= self._max_bytes

    def _close(self, failure: P4RuntimeError | None) -> None:
        if not self._closed:
            self._closed = True
            self._failure = failure
            self._ready.notify_all()
