"""The running service as pages and metrics see it; the daemon tells it what it has.

Besides what others are seen to do, it does two things by itself: it feels how late the event loop
is, and it asks Slurm for a sign of life while nobody else does, which is in a process that stands
by.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from ajrd import __version__
from ajrd.config import Config
from ajrd.errors import SlurmRejected, SlurmUnavailable
from ajrd.journal import Recent
from ajrd.judgement import Judgement
from ajrd.logs.health import FilesHealth
from ajrd.loki.health import Health, State
from ajrd.recovery.loop import Recovery
from ajrd.slurm.base import Slurm
from ajrd.vitals.counts import Counts
from ajrd.vitals.parts import Leading, Parts, away_for
from ajrd.vitals.signs import Signs
from ajrd.vitals.slurm import MeteredSlurm
from ajrd.vitals.store import MeteredStore
from ajrd.web.site import ServiceFacts, SourceFacts, Trouble

#: Seconds between two beats by which the lag of the event loop is felt.
BEAT = 1.0
#: One who stands by asks Slurm so often whether it is there, seconds.
ASK_EVERY = 10.0


class Vitals:
    """The :class:`~ajrd.web.site.ServiceView` of this process, and its metrics."""

    def __init__(self, config: Config, clock: Callable[[], datetime]) -> None:
        self.registry = CollectorRegistry()
        self.counts = Counts(self.registry)
        self.parts = Parts(config, clock)
        self._started_at = clock()
        self.registry.register(Signs(self.parts))
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)

    @property
    def recent(self) -> Recent:
        """Remembers the newest warnings; to be among the processors of the log."""
        return self.parts.recent

    # what the daemon tells

    def watch(self, store: MeteredStore, slurm: Slurm, judgement: Judgement) -> MeteredSlurm:
        """The parts that every process has; gives the Slurm to be used in place of ``slurm``."""
        store.count_by(self.counts)
        metered = MeteredSlurm(slurm, self.counts, self.parts.clock)
        parts = self.parts
        parts.store, parts.slurm, parts.judgement = store, metered, judgement
        return metered

    def leads(self, recovery: Recovery, sources: Iterable[object]) -> None:
        """This process acts from now on."""
        self.parts.leading = Leading.of(recovery, sources)

    def stands_by(self) -> None:
        """It acts no more."""
        self.parts.leading = None

    def reloaded(self, config: Config | None) -> None:
        """A new configuration is in use; None: it was refused."""
        self.parts.reload_ok = config is not None
        self.counts.reloads.labels("ok" if config else "refused").inc()
        if config is not None:
            self.parts.config = config

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._feel_the_loop(), name="beat")
            tasks.create_task(self._ask_slurm(), name="sign of life")

    async def _feel_the_loop(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(BEAT)
            self.counts.loop_lag.observe(max(time.monotonic() - before - BEAT, 0.0))

    async def _ask_slurm(self) -> None:
        while True:
            slurm = self.parts.slurm
            if slurm is not None and self.parts.leading is None:
                with suppress(SlurmUnavailable, SlurmRejected):
                    await slurm.cluster()
            await asyncio.sleep(ASK_EVERY)

    # what others ask

    def facts(self) -> ServiceFacts:
        """How it does at this moment."""
        parts = self.parts
        judgement, slurm = parts.judgement, parts.slurm
        return ServiceFacts(
            version=__version__,
            role="standby" if parts.leading is None else "leader",
            mode=parts.config.recovery.mode.value,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._started_at,
            rules=len(judgement.catalogue.rules) if judgement else 0,
            rules_digest=judgement.digest[:12] if judgement else "",
            slurm_version=slurm.version if slurm else "",
            slurm_seen_at=slurm.seen_at if slurm else None,
            slurm_why=slurm.why if slurm else "",
            store_url=parts.config.database.url,
            store_away_since=self._away_since(),
            sources=tuple(_sources(parts.leading)),
            troubles=tuple(Trouble(s.at, s.event, s.message) for s in parts.recent.messages),
        )

    def _away_since(self) -> datetime | None:
        away = away_for(self.parts.store) if self.parts.store is not None else None
        return None if away is None else self.parts.clock() - timedelta(seconds=away)


def _sources(leading: Leading | None) -> Iterable[SourceFacts]:
    if leading is None:
        return
    if leading.files is not None:
        yield files_facts(leading.files.files_health())
    for tenant in leading.loki.health if leading.loki else ():
        yield loki_facts(tenant)


def files_facts(health: FilesHealth) -> SourceFacts:
    """Files as one source. ``state``: ``well``, ``unreadable`` or ``incomplete``."""
    state = "well"
    if health.unreadable or health.given_up:
        state = "unreadable" if health.unreadable else "incomplete"
    return SourceFacts(
        name="files", state=state, why=health.why, lag=health.lag, followed=health.followed
    )


def loki_facts(health: Health) -> SourceFacts:
    """A tenant as a source; what it followed are tails."""
    name = f"loki {health.tenant}" if health.tenant else "loki"
    why = "" if health.state is State.WELL else health.why
    return SourceFacts(
        name=name, state=health.state.value, why=why, lag=health.lag, followed=health.tails
    )
