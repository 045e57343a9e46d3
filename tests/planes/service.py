"""Runs inside a VM or server and does what it is told by lines; answers each with one of JSON.

``serve PORT NAME``: answer every message with the name and the client's address. ``close PORT``.
``ask ADDRESS PORT COUNT PATIENCE``: make connections, one after the other; their answers, or the
kind of error. ``hold ADDRESS PORT``: open a connection and keep it. ``again``: ask through it, or
``None`` if nothing comes.
"""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading

PATIENCE_S = 5.0
SILENCE_S = 0.8


class Agent:
    def __init__(self) -> None:
        self.listeners: dict[str, socket.socket] = {}
        self.held: socket.socket | None = None

    def serve(self, port: str, name: str) -> None:
        self.listeners[port] = socket.create_server(("", int(port)))
        threading.Thread(target=self._accept, args=(port, name), daemon=True).start()

    def close(self, port: str) -> None:
        listener = self.listeners.pop(port)
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()

    def ask(self, address: str, port: str, count: str, patience: str) -> list[str]:
        return [_ask(address, int(port), float(patience)) for _ in range(int(count))]

    def hold(self, address: str, port: str) -> None:
        if self.held is not None:
            self.held.close()
        self.held = socket.create_connection((address, int(port)), timeout=PATIENCE_S)

    def again(self, patience: str) -> str | None:
        assert self.held is not None
        self.held.settimeout(float(patience))
        try:
            self.held.sendall(b"?")
            return self.held.recv(100).decode()
        except OSError:
            return None

    def _accept(self, port: str, name: str) -> None:
        listener = self.listeners[port]
        with contextlib.suppress(OSError):
            while True:
                client, address = listener.accept()
                words = f"{name} {address[0]}".encode()
                threading.Thread(target=_answer, args=(client, words), daemon=True).start()


def _answer(client: socket.socket, words: bytes) -> None:
    with client, contextlib.suppress(OSError):
        while client.recv(100):
            client.sendall(words)


def _ask(address: str, port: int, patience: float) -> str:
    try:
        with socket.create_connection((address, port), timeout=patience) as stream:
            stream.sendall(b"?")
            return stream.recv(100).decode()
    except OSError as error:
        return type(error).__name__


if __name__ == "__main__":
    agent = Agent()
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        word, *arguments = line.split()
        print(json.dumps(getattr(agent, word)(*arguments)), flush=True)
