"""A TCP proxy in front of a server that can lose packets without anybody being told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress


class Proxy:
    """Forwards to ``port`` on the loopback; :meth:`stall` stops that, connections stay open."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._flows = threading.Event()
        self._flows.set()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Proxy:
        self._begin(self._accept)
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.close()
        self.cut()
        self._flows.set()

    def stall(self) -> None:
        """From now on nothing arrives any more, in either direction."""
        self._flows.clear()

    def resume(self) -> None:
        """What was held back arrives, and what comes after it."""
        self._flows.set()

    def cut(self) -> None:
        """Ends every connection."""
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self._sockets.append(client)
            self._begin(self._join, client)

    def _join(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        self._sockets.append(server)
        self._begin(self._pump, server, client)
        self._pump(client, server)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65536):
            self._flows.wait()
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def _begin(self, work: Callable[..., None], *args: socket.socket) -> None:
        def run() -> None:
            with suppress(OSError):
                work(*args)

        threading.Thread(target=run, daemon=True).start()
