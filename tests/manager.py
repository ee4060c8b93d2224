"""A service manager that only listens: the socket of NOTIFY_SOCKET."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator


class Manager:
    """``address`` is a path, or begins with ``@``: an abstract name."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self._socket.setblocking(False)

    def hear(self) -> list[str]:
        """All messages so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.said.append(self._socket.recv(4096).decode())
        return self.said

    def close(self) -> None:
        """Listens no more."""
        self._socket.close()


@contextlib.contextmanager
def listening(address: str = "") -> Iterator[Manager]:
    """A manager; by default at an abstract name that no other process has."""
    manager = Manager(address or f"@ajrd-test-{os.getpid()}")
    try:
        yield manager
    finally:
        manager.close()
