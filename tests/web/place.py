"""A small application around the pages: who asks is set by the test, events come from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web

from ajrd.config import EfficiencySection, WebSection
from ajrd.store.address import Address
from ajrd.store.engine import Database
from ajrd.store.store import Store
from ajrd.web.identity import IDENTITY, Identity, Way
from ajrd.web.pages import routes
from ajrd.web.site import ServiceFacts, Site, SourceFacts, Trouble
from tests.web.stories import Teller

OPERATOR = Identity("root", operator=True, way=Way.SOCKET)
ADA = Identity("ada", operator=False, way=Way.MUNGE)
BOB = Identity("bob", operator=False, way=Way.MUNGE)
_EMPTY: list[bytes] = []


def now() -> datetime:
    """The host's clock."""
    return datetime.now(UTC)


@dataclass
class Service:
    """How the service does, as the test says it."""

    changes: dict[str, Any] = field(default_factory=dict)

    def facts(self) -> ServiceFacts:
        """A leader that does well."""
        values: dict[str, Any] = {
            "version": "0.6.0",
            "role": "leader",
            "mode": "act",
            "host": "head1",
            "pid": 4711,
            "started_at": now() - timedelta(days=3, hours=4),
            "rules": 412,
            "rules_digest": "9f2c41d0a7e8b3351c02",
            "slurm_version": "25.11.7",
            "slurm_seen_at": now() - timedelta(seconds=1),
            "store_url": "mysql://ajrd@db1/ajrd",
            "sources": (
                SourceFacts(name="files", state="well", lag=0.4, followed=128),
                SourceFacts(name="loki research", state="well", lag=2.8, followed=64),
                SourceFacts(
                    name="loki ops",
                    state="away",
                    why="503 from Loki's gateway",
                    lag=94,
                    followed=12,
                ),
            ),
            "troubles": (
                Trouble(now() - timedelta(minutes=4), "loki_away", "ops: 503 from the gateway"),
                Trouble(
                    now() - timedelta(hours=2),
                    "slurm_refused",
                    "release of job 88131: Job/step already completing or completed",
                ),
            ),
        }
        return ServiceFacts(**values | self.changes)


@dataclass
class Place:
    """The pages over a store: ``who`` asks, ``steered`` is what he asked for.

    ``streams`` False: there is no stream of events.
    """

    store: Store
    database: Database
    base: str = ""
    who: Identity = OPERATOR
    service: Service = field(default_factory=Service)
    clock: Callable[[], datetime] = now
    streams: bool = True
    steered: list[dict[str, Any]] = field(default_factory=list)
    listeners: set[asyncio.Queue[dict[str, Any]]] = field(default_factory=set)

    @property
    def teller(self) -> Teller:
        """Who writes into the store."""
        return Teller(self.store, self.database)

    def say(self, event: str, job_id: str) -> None:
        """Sends an event to all who listen."""
        news = {"id": 1, "at": now().isoformat(), "event": event, "job_id": job_id}
        for each in self.listeners:
            each.put_nowait(news)

    def application(self) -> web.Application:
        """The application, below ``base``."""
        section = WebSection(base_path=self.base)
        site = Site(self.database, section, EfficiencySection(), self.service, self.clock)

        @web.middleware
        async def identify(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            request[IDENTITY] = self.who
            return await handler(request)

        app = web.Application(middlewares=[identify])
        app.add_routes(routes(site))
        app.router.add_get("/api/v1/stream", self._stream)
        app.router.add_post("/api/v1/jobs/{jobid}/{verb}", self._steer)
        if not self.base:
            return app
        outer = web.Application()
        outer.add_subapp(self.base, app)
        return outer

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if not self.streams:
            raise web.HTTPServiceUnavailable
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": hello\n\n")
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.listeners.add(queue)
        try:
            while True:
                news = await queue.get()
                await response.write(f"data: {json.dumps(news)}\n\n".encode())
        finally:
            self.listeners.discard(queue)

    async def _steer(self, request: web.Request) -> web.Response:
        asked = {**request.match_info, **await request.json()}
        self.steered.append(asked | {"header": request.headers.get("X-Ajrd")})
        if asked["reason"] == "":
            return web.json_response({"title": "Why?", "detail": "Say why."}, status=422)
        return web.json_response({"id": 1}, status=202)


@asynccontextmanager
async def a_place(folder: Path, **changes: Any) -> AsyncIterator[Place]:
    """A place with an empty SQLite store; its tables are made once and then copied."""
    file = folder / "ajrd.sqlite"
    if _EMPTY:
        file.write_bytes(_EMPTY[0])
    else:
        await (await Store.open(f"sqlite:///{file}")).close()
        _EMPTY.append(file.read_bytes())
    address = Address(f"sqlite:///{file}")
    store, database = await Store.open(address), Database(address)
    try:
        yield Place(store, database, **changes)
    finally:
        await database.close()
        await store.close()


@asynccontextmanager
async def served(place: Place, port: int = 0) -> AsyncIterator[str]:
    """Its address on 127.0.0.1."""
    runner = web.AppRunner(place.application(), shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}{place.base}"
    finally:
        await runner.cleanup()
