"""A service in memory with something to tell: one recovery, files and tenants of Loki."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from ajrd.config import Config, EfficiencySection, WebSection
from ajrd.hardware.health import HandoffHealth
from ajrd.judgement import Judgement
from ajrd.logs.health import FilesHealth
from ajrd.loki.health import Health, State
from ajrd.notify.health import EndpointHealth
from ajrd.policy.eligibility import Site as Allowed
from ajrd.recovery.leadership import Alone, Leadership
from ajrd.recovery.loop import Recovery
from ajrd.recovery.settings import Settings
from ajrd.store.address import Address
from ajrd.store.engine import Database
from ajrd.vitals.store import MeteredStore
from ajrd.vitals.view import View
from ajrd.vitals.vitals import Vitals
from ajrd.web import metrics
from ajrd.web.site import ServiceFacts, Site
from tests.unit.samples import COMMENT
from tests.unit.test_loop import QUICK, NoLogs, World, until

JUDGEMENT = Judgement([])
Client = TestClient[web.Request, web.Application]


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Files:
    """A reader of files that says what a test lets it say."""

    state: FilesHealth = field(
        default_factory=lambda: FilesHealth(followed=4, bytes=4096, lines=64, lag=0.2)
    )

    def files_health(self) -> FilesHealth:
        return self.state


@dataclass
class Tenants:
    """A reader of Loki that says what a test lets it say."""

    health: list[Health] = field(
        default_factory=lambda: [
            Health("a", State.WELL, lag=1.5, requests=9, entries=80, found=3, swept=1, dropped=2),
            Health("b", State.DENIED, why="no"),
        ]
    )


class Living(World):
    """A leading service whose parts are watched."""

    def __init__(self, store: MeteredStore) -> None:
        super().__init__(store, JUDGEMENT)
        self.slurm.next_id = 4711
        self.config = Config()
        self.vitals = Vitals(self.config, now)
        metered = self.vitals.watch(store, self.slurm, JUDGEMENT)
        settings = Settings(site=Allowed(act=True), **QUICK)  # type: ignore[arg-type]
        self.loop = Recovery(metered, store, NoLogs(), JUDGEMENT, settings, now, Alone())
        self.files, self.loki = Files(), Tenants()
        self.handoff, self.endpoint = HandoffHealth(reports=True, budget=2), EndpointHealth("ops")
        self.vitals.leads(self.loop, [self.files, self.loki, self.handoff, self.endpoint])
        self.view = View(self.vitals.parts)
        self.leadership = Leadership(store, "test", "host", 20.0, 5.0)
        self.vitals.parts.leadership = self.leadership

    async def recover(self) -> str:
        """One job crashes and comes back."""
        job_id = self.slurm.submit("train-secret", comment=COMMENT)
        async with self.running():
            first = await self.attempt(job_id, 0)
            await self.crash(first)
            await self.decided(first)
            await self.attempt(job_id, 1)
            await self.counted("ajrd_recovery_seconds_count")
        return job_id

    async def slurm_and_lease(self) -> None:
        """Slurm has answered once, the lease was taken."""
        assert self.vitals.parts.slurm is not None
        await self.vitals.parts.slurm.cluster()
        await self.leadership.acquire()

    def facts(self) -> ServiceFacts:
        """What pages are told."""
        return self.view.facts()

    async def counted(self, name: str, **labels: str) -> None:
        """Waits until something was counted: that happens a moment after it was stored."""

        async def there() -> bool:
            return bool(self.value(name, **labels))

        await until(there)

    def value(self, name: str, **labels: str) -> float | None:
        """The number of a metric; None if it is not told."""
        return self.vitals.registry.get_sample_value(name, labels)


@asynccontextmanager
async def living(folder: Path) -> AsyncIterator[Living]:
    """A service on a new store in ``folder``."""
    store = await MeteredStore.open(Address(f"sqlite:///{folder}/ajrd.sqlite"))
    try:
        yield Living(store)
    finally:
        await store.close()


@asynccontextmanager
async def served(
    service: Living, folder: Path, clock: Callable[[], datetime] = now, port: int = 0
) -> AsyncIterator[Client]:
    """Its routes on a port of their own, and a client of it."""
    database = Database(Address(f"sqlite:///{folder}/ajrd.sqlite"))
    site = Site(
        database, WebSection(), EfficiencySection(), service.view, clock,
        registry=service.vitals.registry,
    )  # fmt: skip
    app = web.Application()
    app.add_routes(metrics.routes(site))
    try:
        async with TestClient(TestServer(app, port=port or None)) as client:
            yield client
    finally:
        await database.close()


def later(seconds: float) -> Callable[[], datetime]:
    """A clock that is ahead."""
    return lambda: now() + timedelta(seconds=seconds)
