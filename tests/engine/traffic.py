"""Run inside a namespace: sends and receives what the port tests need. Prints what happened."""

from __future__ import annotations

import hashlib
import socket
import struct
import sys

TCP_BYTES = 32 << 20
UDP_SEGMENT = 103
SOL_PACKET, PACKET_AUXDATA, ETH_P_ALL = 263, 8, 3


def _block() -> bytes:
    return hashlib.shake_128(b"traffic").digest(1 << 20)


def tcp_server(address: str, port: str) -> None:
    listener = socket.create_server((address, int(port)))
    print("ready", flush=True)
    connection, _ = listener.accept()
    digest, count = hashlib.sha256(), 0
    while data := connection.recv(1 << 18):
        digest.update(data)
        count += len(data)
    print(count, digest.hexdigest(), flush=True)


def tcp_client(address: str, port: str) -> None:
    block, digest = _block(), hashlib.sha256()
    with socket.create_connection((address, int(port)), timeout=10) as connection:
        for _ in range(TCP_BYTES // len(block)):
            connection.sendall(block)
            digest.update(block)
    print(TCP_BYTES, digest.hexdigest())


def udp_server(address: str, port: str, count: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((address, int(port)))
        sock.settimeout(10)
        print("ready", flush=True)
        sizes = [len(sock.recv(65536)) for _ in range(int(count))]
    print(*sizes, flush=True)


def udp_segments(address: str, port: str, size: str, count: str) -> None:
    """One send of many datagrams, cut by the kernel or the device behind it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, int(size))
        sock.sendto(bytes(int(size) * int(count)), (address, int(port)))


def raw_send(frame: str, times: str = "1") -> None:
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sock:
        sock.bind(("eth0", 0))
        for _ in range(int(times)):
            sock.send(bytes.fromhex(frame))


def raw_receive(marker: str) -> None:
    """Print the first frame that contains the marker, its VLAN tag put back."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as sock:
        sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        sock.bind(("eth0", ETH_P_ALL))
        sock.settimeout(10)
        print("ready", flush=True)
        while True:
            data, control, _, _ = sock.recvmsg(65536, 256)
            if bytes.fromhex(marker) not in data:
                continue
            for level, kind, value in control:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", value)
                    if status & 0x10:
                        data = data[:12] + struct.pack("!HH", tpid, tci) + data[12:]
            print(data.hex(), flush=True)
            return


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
