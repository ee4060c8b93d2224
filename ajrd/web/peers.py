"""Who is at the other end of a connection, and who he says or proves that he is.

On the UNIX socket the kernel knows (SO_PEERCRED, unix(7)). On TCP a reverse proxy on the list is
believed in what its header says; anybody else needs a MUNGE credential. Everybody else is nobody.
"""

from __future__ import annotations

import re
import socket
import struct
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from aiohttp import web

from ajrd.config import WebSection
from ajrd.web.identity import Identity, Way
from ajrd.web.munge import Munge, MungeRefused
from ajrd.web.people import People, Person
from ajrd.web.problem import Problem

#: struct ucred: process, user, group.
_UCRED = struct.Struct("3i")
#: Names that a proxy may tell: what hosts allow, and what directories write before or behind.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,63}")


@dataclass(frozen=True, slots=True)
class Peer:
    """``uid`` on the UNIX socket, ``address`` on TCP."""

    uid: int | None = None
    address: str = ""

    def __str__(self) -> str:
        return self.address if self.uid is None else f"uid {self.uid}"


def peer_of(connection: socket.socket | None) -> Peer:
    """Who has connected; a connection that is gone was nobody's."""
    if connection is None:
        return Peer()
    try:
        if connection.family == socket.AF_UNIX:
            raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
            return Peer(uid=_UCRED.unpack(raw)[1])
        return Peer(address=_plain(connection.getpeername()[0]))
    except OSError:
        return Peer()


def _plain(address: str) -> str:
    """Without the scope of a link; an IPv4 address that IPv6 carries is itself."""
    found = ip_address(address.partition("%")[0])
    return str(getattr(found, "ipv4_mapped", None) or found)


def trusts(settings: WebSection, address: str) -> bool:
    """Is this the address of a proxy that is believed?"""
    return bool(address) and any(
        ip_address(address) in ip_network(each, strict=False) for each in settings.proxy.addresses
    )


@dataclass(slots=True)
class Doorkeeper:
    """Finds out who asks. ``people`` and ``munge`` are those of the host."""

    settings: WebSection
    people: People
    munge: Munge = field(default_factory=Munge)

    async def end(self, _app: web.Application) -> None:
        """Asks nobody any more."""
        self.people.close()

    def asks_munge(self, request: web.Request, peer: Peer) -> bool:
        """Is it munged that will tell who asks?"""
        return (
            peer.uid is None
            and not self._by_header(request, peer)
            and request.headers.get("Authorization", "").partition(" ")[0].upper() == "MUNGE"
        )

    def _by_header(self, request: web.Request, peer: Peer) -> bool:
        proxy = self.settings.proxy
        return proxy.header in request.headers and trusts(self.settings, peer.address)

    async def identify(self, request: web.Request, peer: Peer) -> Identity:
        """Who asks; raises Problem, MungeUnavailable or PeopleUnavailable."""
        if peer.uid is not None:
            person = await self.people.by_uid(peer.uid)
            if person is None:
                raise Problem(403, f"this host has no name for the user with number {peer.uid}")
            return self._somebody(person.name, person, Way.SOCKET)
        if self._by_header(request, peer):
            return await self._by_proxy(request.headers.getall(self.settings.proxy.header))
        if self.asks_munge(request, peer):
            credential = request.headers["Authorization"].partition(" ")[2]
            return await self._by_munge(credential.strip(), request)
        return Identity(
            "", operator=False, way=Way.ANONYMOUS, reads_all=self.settings.anonymous_read
        )

    async def _by_proxy(self, told: list[str]) -> Identity:
        if len(told) != 1 or not _NAME.fullmatch(told[0]):
            raise Problem(
                400, f"the header {self.settings.proxy.header} does not hold one user's name"
            )
        return self._somebody(told[0], await self.people.by_name(told[0]), Way.PROXY)

    async def _by_munge(self, credential: str, request: web.Request) -> Identity:
        purpose = f"ajrd {request.method} {request.raw_path}"
        try:
            uid = await self.munge.uid(credential, purpose)
        except MungeRefused as refusal:
            raise unknown(str(refusal)) from None
        person = await self.people.by_uid(uid)
        if person is None:
            raise Problem(403, f"this host has no name for the user with number {uid}")
        return self._somebody(person.name, person, Way.MUNGE)

    def _somebody(self, name: str, person: Person | None, way: Way) -> Identity:
        groups = person.groups if person else frozenset()
        operator = name in self.settings.operators or not groups.isdisjoint(
            self.settings.operator_groups
        )
        return Identity(name, operator=operator, way=way)


def unknown(why: str) -> Problem:
    """Nobody in particular has asked for what is not everybody's."""
    return Problem(401, why, headers={"WWW-Authenticate": 'MUNGE realm="ajrd"'})
