"""Runs inside a VM: sends frames and tells the numbers of those that arrive, as told by lines.

``send HEX HEX ...`` sends. ``take`` answers with the numbers of all frames that came, once a
sentinel is among them and then nothing more has come for a while: frames that a controller judged
come late. A frame carries ``#NUMBER#`` in its payload; a sentinel's number is 0.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time

QUIET_S = 0.4
PACE_S = 0.003  # a burst would overflow BMv2's queue of 64 packets
LIMIT_S = 8.0
SENTINEL = 0
_NUMBER = re.compile(rb"#(\d+)#")


def send(raw: socket.socket, frames: list[str]) -> None:
    for frame in frames:
        raw.send(bytes.fromhex(frame))
        time.sleep(PACE_S)


def take(raw: socket.socket) -> list[int]:
    seen: set[int] = set()
    deadline = time.monotonic() + LIMIT_S
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([raw], [], [], min(left, QUIET_S))[0]:
            if SENTINEL in seen:
                break
            continue
        data, (_, _, kind, *_rest) = raw.recvfrom(65536)
        found = _NUMBER.search(data)
        if found and kind != socket.PACKET_OUTGOING:
            seen.add(int(found[1]))
    return sorted(seen)


def main() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE
        raw.bind(("eth0", 3))
        print("ready", flush=True)
        for line in sys.stdin:
            word, *frames = line.split()
            if word == "send":
                send(raw, frames)
            print(json.dumps(take(raw) if word == "take" else []), flush=True)


if __name__ == "__main__":
    main()
