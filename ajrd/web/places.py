"""Where the web server listens, and how many may be connected to it.

The service shares its open files with the web server: whoever opens thousands of connections must
not keep it from reading logs, nor others from asking.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

from aiohttp import web

from ajrd.errors import WebUnavailable
from ajrd.web.peers import Peer, peer_of

#: Open connections to one place: in all, and of one user or host.
MOST, EACH = 1500, 128
_ANYBODY = 0o666
#: Connections that may wait to be taken: after a restart all open pages come at once.
_WAITING = 1024


@contextmanager
def unix_socket(path: Path) -> Iterator[socket.socket]:
    """A socket at this path, open to every user of the host; its file goes with it.

    A file that a dead process has left is replaced. Raises WebUnavailable if another process
    listens there, or something else than a socket is there.
    """
    with socket.socket(socket.AF_UNIX) as made:
        try:
            _make_way(path)
            made.bind(str(path))
            path.chmod(_ANYBODY)
            mine = path.stat().st_ino
        except OSError as error:
            raise WebUnavailable(f"cannot listen on web.socket {path}: {error}") from None
        try:
            yield made
        finally:
            with suppress(OSError):
                if path.stat().st_ino == mine:
                    path.unlink()


def _make_way(path: Path) -> None:
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise WebUnavailable(f"web.socket: {path} is there already and is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
        except TimeoutError:
            pass
    raise WebUnavailable(f"web.socket: another process listens on {path}: is ajrd running already?")


@contextmanager
def tcp_socket(listen: str) -> Iterator[socket.socket]:
    """A socket on ADDRESS:PORT; raises WebUnavailable, also if the port is taken."""
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        made = socket.create_server((host, int(port)), family=family)
    except OSError as error:
        why = error.strerror or str(error)
        if error.errno == errno.EADDRINUSE:
            why = "another process listens there: is ajrd running already?"
        raise WebUnavailable(f"cannot listen on web.listen {listen}: {why}") from None
    with made:
        yield made


class Place(web.BaseSite):
    """Takes connections on a socket that is bound already.

    ``unlimited`` tells of whom there may be any number: a proxy has the connections of all.
    """

    def __init__(
        self, runner: web.AppRunner, place: socket.socket, unlimited: Callable[[Peer], bool]
    ) -> None:
        super().__init__(runner)
        assert runner.server is not None
        self._place = place
        self._made = runner.server
        self._unlimited = unlimited
        self._here: set[asyncio.BaseTransport] = set()

    @property
    def name(self) -> str:
        """Its address."""
        return str(self._place.getsockname())

    async def start(self) -> None:
        """Begins to listen."""
        await super().start()
        loop = asyncio.get_running_loop()
        if self._place.family == socket.AF_UNIX:
            self._server = await loop.create_unix_server(
                self._threshold, sock=self._place, backlog=_WAITING
            )
        else:
            self._server = await loop.create_server(
                self._threshold, sock=self._place, backlog=_WAITING
            )

    def _threshold(self) -> asyncio.Protocol:
        return _Threshold(self)

    def enter(self, transport: asyncio.BaseTransport) -> asyncio.Protocol | None:
        """What speaks with a new connection; None: it is one too many."""
        self._here = {each for each in self._here if not each.is_closing()}
        peer = _peer(transport)
        if len(self._here) >= most_connections():
            return None
        if not self._unlimited(peer) and self._count(peer) >= EACH:
            return None
        self._here.add(transport)
        return self._made()

    def _count(self, peer: Peer) -> int:
        return sum(_peer(each) == peer for each in self._here)


class _Threshold(asyncio.Protocol):
    """The first moment of a connection."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        protocol = self._place.enter(transport)
        if protocol is None:
            cast(asyncio.Transport, transport).abort()
            return
        transport.set_protocol(protocol)
        protocol.connection_made(transport)


def _peer(transport: asyncio.BaseTransport) -> Peer:
    return peer_of(transport.get_extra_info("socket"))


def most_connections() -> int:
    """Half of the files that this process may have open, and not more than is sensible."""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else min(MOST, soft // 2)


def is_ours(peer: Peer) -> bool:
    """Is it the administrator, or the user that this process runs as?"""
    return peer.uid in (0, os.geteuid())
