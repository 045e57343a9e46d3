"""Runs inside a VM: sends frames given in hex, or tells the numbers of those that arrive.

A frame carries ``#NUMBER#`` in its payload. The receiver ends when the sentinel, the last frame
sent, has come and then nothing more for a while: frames that a controller judged come late.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time

QUIET_S = 0.5
PACE_S = 0.003  # a burst would overflow BMv2's queue of 64 packets
LIMIT_S = 10.0
SENTINEL = 0
_NUMBER = re.compile(rb"#(\d+)#")


def send() -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 0))
        for line in sys.stdin:
            raw.send(bytes.fromhex(line))
            time.sleep(PACE_S)


def receive() -> None:
    seen: set[int] = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, 33, 1 << 22)  # SO_RCVBUFFORCE
        raw.bind(("eth0", 3))
        print("ready", flush=True)
        while select.select([raw], [], [], QUIET_S if SENTINEL in seen else LIMIT_S)[0]:
            data, (_, _, kind, *_rest) = raw.recvfrom(65536)
            found = _NUMBER.search(data)
            if found and kind != socket.PACKET_OUTGOING:
                seen.add(int(found[1]))
    print(json.dumps(sorted(seen)), flush=True)


if __name__ == "__main__":
    {"send": send, "receive": receive}[sys.argv[1]]()
