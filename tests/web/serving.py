"""The web server over a store, and those who ask it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import ClientResponse, ClientSession, ClientTimeout, UnixConnector, web
from multidict import CIMultiDictProxy

from ajrd.config import EfficiencySection, WebSection
from ajrd.store.address import Address
from ajrd.store.engine import Database
from ajrd.store.store import Store
from ajrd.web.peers import Doorkeeper
from ajrd.web.serve import Routes, application, serving
from ajrd.web.site import ServiceFacts, Site, SourceFacts, Trouble
from labcluster.ports import free_block
from tests.unit.samples import at

#: A proxy on this host, which tells the user.
PROXY = {"proxy": {"addresses": ["127.0.0.1"], "header": "X-Remote-User"}}
JSON = {"Content-Type": "application/json"}


class View:
    """A service that is well."""

    def facts(self) -> ServiceFacts:
        return ServiceFacts(
            version="1",
            role="leader",
            mode="act",
            host="head",
            pid=7,
            started_at=at(0),
            rules=3,
            rules_digest="abc",
            store_url="mysql://ajrd@db/ajrd",
            sources=[SourceFacts(name="files", state="reading", why="no such file: /home/bob")],
            troubles=[Trouble(at(1), "warned", "of job 7")],
        )


@dataclass
class World:
    """A running server; ``get`` and ``post`` ask it over TCP as a proxy for a user."""

    site: Site
    app: web.Application
    net: ClientSession
    host: ClientSession | None
    headers: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, user: str | None = None, **headers: str) -> Answered:
        return await self.ask("GET", path, user, **headers)

    async def post(self, path: str, user: str | None, body: Any, **headers: str) -> Answered:
        return await self.ask("POST", path, user, json.dumps(body), **{**JSON, **headers})

    async def ask(
        self, method: str, path: str, user: str | None, body: str | None = None, **headers: str
    ) -> Answered:
        told = {"X-Remote-User": user} if user else {}
        sent = {**self.headers, **told, **{k.replace("_", "-"): v for k, v in headers.items()}}
        async with self.net.request(method, path, data=body, headers=sent) as response:
            return await Answered.of(response)

    async def on_host(self, path: str) -> Answered:
        """Over the UNIX socket, as whoever runs the test."""
        assert self.host is not None
        async with self.host.get(path) as response:
            return await Answered.of(response)


@dataclass(frozen=True)
class Answered:
    """An answer that was read to its end."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @classmethod
    async def of(cls, response: ClientResponse) -> Answered:
        return cls(response.status, response.headers, await response.read())

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@asynccontextmanager
async def a_world(
    address: Address,
    folder: Path,
    *,
    keeper: Doorkeeper | None = None,
    extra: Iterable[Routes] = (),
    **settings: Any,
) -> AsyncIterator[World]:
    """A server on both a socket in ``folder`` and a free port of this host."""
    port = free_block(1)
    given = {"socket": str(folder / "s"), "listen": f"127.0.0.1:{port}", **PROXY, **settings}
    section = WebSection.model_validate(given)
    database = Database(address)
    site = Site(database, section, EfficiencySection(), View(), lambda: datetime.now(UTC))
    if keeper is not None:
        keeper.settings = section
    app = application(site, extra=extra, keeper=keeper)
    try:
        async with (
            serving(site, app),
            ClientSession(f"http://127.0.0.1:{port}", timeout=ClientTimeout(20)) as net,
            ClientSession("http://host", connector=UnixConnector(str(folder / "s"))) as host,
        ):
            yield World(site, app, net, host)
    finally:
        await database.close()


@asynccontextmanager
async def a_store(folder: Path) -> AsyncIterator[tuple[Store, Address]]:
    """An empty store in a file."""
    address = Address(f"sqlite:///{folder}/ajrd.sqlite")
    store = await Store.open(address)
    try:
        yield store, address
    finally:
        await store.close()
