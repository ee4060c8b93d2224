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
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Proxy:
        self._begin(self._accept)
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._flows.set()
        while any(thread.is_alive() for thread in self._threads):
            self.cut()
            self._threads[-1].join(0.05)

    def stall(self) -> None:
        """From now on nothing arrives any more, in either direction."""
        self._flows.clear()

    def resume(self) -> None:
        """What was held back arrives, and what comes after it."""
        self._flows.set()

    def cut(self) -> None:
        """Ends every connection."""
        for each in tuple(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self._begin(self._join, client)

    def _join(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            both = {client, server}
            self._open |= both
            back = self._begin(self._pump, server, client)
            try:
                self._pump(client, server)
            finally:
                back.join()
                self._open -= both

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(65536):
            self._flows.wait()
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)

    def _begin(self, work: Callable[..., None], *args: socket.socket) -> threading.Thread:
        def run() -> None:
            with suppress(OSError):
                work(*args)

        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread
