"""Small programs that run inside VMs for the tour and the tests: a timed download, a forged frame.

Only the standard library: each is started as ``python guest.py WORD ...`` within a namespace.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys
import time

CHUNK = 65536
ETH_P_ALL = 3


def serve(port: int) -> None:
    """Send zeros to every client, one after the other, as fast as it takes them."""
    payload = bytes(CHUNK)
    with socket.create_server(("", port)) as listener:
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                while True:
                    client.sendall(payload)


def download(address: str, port: int) -> None:
    """Receive until standard input ends; print JSON with bytes and the longest silence."""
    received, longest, silent_at, error = 0, 0.0, 0.0, ""
    began = last = time.monotonic()
    with socket.create_connection((address, port), timeout=10) as stream:
        print("connected", flush=True)
        while True:
            try:
                if sys.stdin in select.select([stream, sys.stdin], [], [])[0]:
                    break
                data = stream.recv(CHUNK)
            except OSError as problem:
                error = str(problem)
                break
            if not data:
                error = "closed by the sender"
                break
            now = time.monotonic()
            if received and now - last > longest:
                longest, silent_at = now - last, last - began
            received, last = received + len(data), now
    result = {
        "bytes": received,
        "seconds": last - began,
        "gap_ms": longest * 1e3,
        "gap_at_s": silent_at,
        "error": error,
    }
    print(json.dumps(result), flush=True)


def forge(interface: str, source: str, destination: str, count: int) -> None:
    """Send Ethernet frames with a source MAC address of one's choice."""
    frame = b"".join(bytes.fromhex(mac.replace(":", "")) for mac in (destination, source))
    frame += (0x88B5).to_bytes(2, "big") + b"forged".ljust(46, b"\0")  # local experimental type
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((interface, 0))
        for _ in range(count):
            raw.send(frame)


def listen(interface: str, source: str, seconds: float) -> None:
    """Count frames from a source MAC address that arrive within some time; print the number."""
    wanted, found = bytes.fromhex(source.replace(":", "")), 0
    deadline = time.monotonic() + seconds
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as raw:
        raw.bind((interface, 0))
        print("ready", flush=True)
        while (left := deadline - time.monotonic()) > 0:
            raw.settimeout(left)
            with contextlib.suppress(TimeoutError):
                found += raw.recv(CHUNK)[6:12] == wanted
    print(found, flush=True)


def answer(port: int, text: str) -> None:
    """Send a text to every client and hang up."""
    with socket.create_server(("", port)) as listener:
        print("ready", flush=True)
        while True:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                client.sendall(text.encode())


def ask(address: str, port: int, seconds: float) -> None:
    """Print what a server sends, or nothing if it cannot be reached in time."""
    try:
        with socket.create_connection((address, port), timeout=seconds) as stream:
            print(stream.recv(CHUNK).decode(), flush=True)
    except OSError:
        return


def tunnels(interface: str, vni: int) -> None:
    """Count VXLAN frames of a network until standard input ends; print the number."""
    found = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as raw:
        raw.bind((interface, 0))
        print("ready", flush=True)
        while sys.stdin not in select.select([raw, sys.stdin], [], [])[0]:
            frame = raw.recv(CHUNK)
            is_vxlan = frame[12:14] == b"\x08\0" and frame[23] == 17 and frame[36:38] == b"\x12\xb5"
            found += is_vxlan and int.from_bytes(frame[46:49], "big") == vni
    print(found, flush=True)


def main(words: list[str]) -> None:
    """Run one of the programs."""
    match words:
        case ["serve", port]:
            serve(int(port))
        case ["download", address, port]:
            download(address, int(port))
        case ["forge", interface, source, destination, count]:
            forge(interface, source, destination, int(count))
        case ["listen", interface, source, seconds]:
            listen(interface, source, float(seconds))
        case ["answer", port, text]:
            answer(int(port), text)
        case ["ask", address, port, seconds]:
            ask(address, int(port), float(seconds))
        case ["tunnels", interface, vni]:
            tunnels(interface, int(vni))
        case _:
            sys.exit(f"unknown words {words}; see {__file__}")


if __name__ == "__main__":
    main(sys.argv[1:])
