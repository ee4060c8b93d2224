"""What the service manager is told: sd_notify(3), one datagram a message, without its library.

systemd names a UNIX socket in ``NOTIFY_SOCKET``; a name that begins with ``@`` is an abstract one
(unix(7)). Nobody is told anything where the variable is not set, and a manager that takes no
message is no reason to stop or to wait.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from dataclasses import dataclass

_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
#: Characters of a status line that are told.
_LONGEST = 500


@dataclass(frozen=True, slots=True)
class Notify:
    """The way to the service manager; ``address`` None: there is none.

    ``watchdog`` is after how many seconds without a sign of life it ends the service; None: never.
    """

    address: str | bytes | None = None
    watchdog: float | None = None

    @classmethod
    def of(cls, environ: MutableMapping[str, str]) -> Notify:
        """Takes the variables out of the environment: commands that ajrd runs are not the service.

        The watchdog may be meant for another process (sd_watchdog_enabled(3)).
        """
        name, limit, pid = (environ.pop(variable, "") for variable in _VARIABLES)
        ours = not pid or pid == str(os.getpid())
        wanted = bool(name) and ours and limit.isdecimal() and int(limit) > 0
        return cls(_address(name), int(limit) / 1e6 if wanted else None)

    def ready(self) -> None:
        """The start, or a reload, is over."""
        self._say("READY=1")

    def reloading(self) -> None:
        """A reload begins; the time tells it from earlier ones."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._say("STOPPING=1")

    def alive(self) -> None:
        """A sign of life."""
        self._say("WATCHDOG=1")

    def status(self, text: str) -> None:
        """What people see in ``systemctl status``: one line."""
        self._say(f"STATUS={' '.join(text.split())[:_LONGEST]}")

    async def beat(self, lives: Callable[[], bool]) -> None:
        """Signs of life at half of the time that they are waited for, while ``lives``."""
        while self.watchdog is not None:
            if lives():
                self.alive()
            await asyncio.sleep(self.watchdog / 2)

    def _say(self, *lines: str) -> None:
        if self.address is None:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.connect(self.address)
            channel.send("\n".join(lines).encode())


def _address(name: str) -> str | bytes | None:
    """Paths and abstract names; systemd knows others, which are for virtual machines."""
    if name.startswith("@"):
        return b"\0" + os.fsencode(name[1:])
    return name if name.startswith("/") else None
