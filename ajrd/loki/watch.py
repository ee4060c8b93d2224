"""The logs of running attempts as Loki has them: what the recovery loop needs of it.

Beside :class:`ajrd.logwatch.LogWatch`, which reads files, or in its place. Joins what the parts of
this package do for each tenant with the attempts that the loop attends to.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from ajrd.config import LOKI_PASSWORD, LOKI_TOKEN, LokiSection
from ajrd.detect.catalogue import Catalogue
from ajrd.detect.pattern import LITTLE_MEMORY, PatternError, check
from ajrd.loki.attribute import Labels, Roster
from ajrd.loki.client import Access, Loki
from ajrd.loki.entries import Reader
from ajrd.loki.health import Health
from ajrd.loki.listen import Ears, Listener
from ajrd.loki.logql import Filters, filters_of, speaks_of_nodes
from ajrd.loki.questions import Selection
from ajrd.loki.tenant import Hearers, Tenant, Timing
from ajrd.model import Anomaly, Directive, JobInfo
from ajrd.policy.evidence import Pulse, is_fatal
from ajrd.store.records import AnomalyRecord, AttemptRecord, JobRecord
from ajrd.store.store import Store

#: Forms of progress of owners that Loki is asked for at most.
_MOST_OWN = 50
#: How often rules and attempts that are over are looked after, seconds.
_TEND_EVERY = 1.0


class Rules(Protocol):
    """The catalogue in use, which may change; see :class:`ajrd.judgement.Judgement`."""

    catalogue: Catalogue
    digest: str

    def listener(self, progress: str) -> Listener:
        """A detector of one stream; raises PatternError."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is derived from a catalogue."""

    digest: str
    filters: Filters
    of_nodes: frozenset[str]


class LokiWatch:
    """The :class:`~ajrd.recovery.settings.Logs` that Loki gives. :meth:`run` until cancelled."""

    def __init__(
        self,
        section: LokiSection,
        store: Store,
        rules: Rules,
        clock: Callable[[], datetime],
        cache: Path | None = None,
    ) -> None:
        self._section = section
        self._store = store
        self._rules = rules
        self._cache = cache
        self._roster = Roster(labels_of(section))
        self._owned: dict[int, str] = {}
        self._alarmed: set[int] = set()
        self._ears = Ears(self._roster, self._listener, clock, lambda: self._prepared.of_nodes)
        self._prepared: _Prepared
        self._tenants = [self._tenant(name, clock) for name in section.tenants or ("",)]
        self.learn: Callable[[int, list[AnomalyRecord], Pulse | None], None] = _nobody_listens
        self.hear: Callable[[int, list[Anomaly], Pulse | None], None] = _nobody_listens

    @property
    def health(self) -> list[Health]:
        """How each tenant does."""
        return [tenant.loki.health for tenant in self._tenants]

    async def run(self) -> None:
        """Reads until cancelled."""
        await self._prepare()
        try:
            async with asyncio.TaskGroup() as tasks:
                for tenant in self._tenants:
                    tasks.create_task(tenant.run(), name=f"loki {tenant.name}")
                while True:
                    await asyncio.sleep(_TEND_EVERY)
                    self._let_go()
                    if self._rules.digest != self._prepared.digest:
                        await self._prepare()
        finally:
            self._ears.stop()

    async def attend(
        self, job: JobRecord, seen: JobInfo, attempt: AttemptRecord, directive: Directive
    ) -> None:
        """Want the entries of an attempt; called at every look at Slurm."""
        new = self._roster.attend(seen, attempt, datetime.now(UTC))
        if new:
            self._owned[attempt.id] = _usable(directive.progress)
        for tenant in self._tenants:
            if new:
                tenant.adopt(attempt.id)
            tenant.looked()

    async def drain(self, attempt: int, limit: float) -> bool:
        """Reads what the shippers have delivered by then; False if Loki does not answer in time.

        While nothing is known that could have ended it, they get ``lag`` seconds.
        """
        if attempt not in self._roster.attempts:
            return True
        try:
            async with asyncio.timeout(limit):
                if attempt not in self._alarmed:
                    await asyncio.sleep(min(self._section.lag, limit * 0.7))
                await asyncio.gather(*(tenant.ask() for tenant in self._tenants))
                if attempt > 0 and self._store.away_since is None:
                    for tenant in self._tenants:
                        await tenant.kept(attempt)
        except TimeoutError:
            return False
        return True

    async def leave(self, attempt: int) -> None:
        """The attempt is over: only what comes late is still wanted.

        One that had no row yet is attended to anew, by its number, and read from its start.
        """
        self._roster.leave(attempt, datetime.now(UTC))
        if attempt <= 0:
            self._forget([attempt])
            for tenant in self._tenants:
                tenant.forget(attempt)

    # parts

    def _tenant(self, name: str, clock: Callable[[], datetime]) -> Tenant:
        section = self._section
        reader = Reader(self._roster.labels.names)
        return Tenant(
            loki=Loki(access_of(section), name, reader, Health(name)),
            name=cursor_name(section.url or "", name),
            timing=Timing(
                interval=section.interval,
                overlap=section.overlap,
                late=section.late,
                window=section.window,
                limit=section.limit,
                tail=section.tail,
            ),
            selection=Selection(section.jobs, section.nodes, section.query_length),
            store=self._store,
            roster=self._roster,
            ears=self._ears,
            filters=lambda: self._prepared.filters,
            owned=self._own_patterns,
            hearers=lambda: Hearers(self._hear, self.learn),
            clock=clock,
        )

    async def _prepare(self) -> None:
        """Finding the filters takes a moment when the catalogue is new."""
        catalogue, digest = self._rules.catalogue, self._rules.digest
        filters = await asyncio.to_thread(filters_of, catalogue, self._cache)
        of_nodes = frozenset(rule.id for rule in catalogue.rules if speaks_of_nodes(rule))
        self._prepared = _Prepared(digest, filters, of_nodes)

    def _listener(self, attempt: int) -> Listener:
        return self._rules.listener(self._owned.get(attempt, ""))

    def _own_patterns(self) -> list[str]:
        return sorted({pattern for pattern in self._owned.values() if pattern})[:_MOST_OWN]

    def _hear(self, attempt: int, seen: list[Anomaly], pulse: Pulse | None) -> None:
        if any(is_fatal(anomaly) for anomaly in seen):
            self._alarmed.add(attempt)
        self.hear(attempt, seen, pulse)

    def _let_go(self) -> None:
        """Attempts that were left long enough ago for nothing to come late any more."""
        latest = datetime.now(UTC) - timedelta(seconds=self._section.overlap + self._section.lag)
        over = [
            number
            for number, known in self._roster.attempts.items()
            if known.left_at is not None and known.left_at < latest
        ]
        self._forget(over)

    def _forget(self, attempts: list[int]) -> None:
        self._roster.forget(attempts)
        for attempt in attempts:
            self._ears.forget(attempt)
            self._owned.pop(attempt, None)
            self._alarmed.discard(attempt)


def labels_of(section: LokiSection) -> Labels:
    """Where entries name their job."""
    patterns = [
        check(pattern, sensitive=True, re2_only=True, memory=LITTLE_MEMORY) if pattern else None
        for pattern in (section.file_pattern, section.line_pattern)
    ]
    return Labels(
        job=section.labels.job,
        file=section.labels.file,
        node=section.labels.node,
        file_pattern=patterns[0],
        line_pattern=patterns[1],
    )


def access_of(section: LokiSection) -> Access:
    """Where Loki is and who ajrd is to it."""
    return Access(
        url=section.url or "",
        user=section.auth.user,
        password_file=section.auth.password_file,
        token_file=section.auth.token_file,
        tls=section.tls.files(),
        timeout=section.timeout,
        password_credential=LOKI_PASSWORD,
        token_credential=LOKI_TOKEN,
    )


def cursor_name(url: str, tenant: str) -> str:
    """What stands for a tenant of a Loki, in at most 64 characters."""
    digest = hashlib.blake2b(f"{url}\0{tenant}".encode(), digest_size=6).hexdigest()
    return f"{tenant[:40] or 'loki'}@{digest}"


def _usable(progress: str) -> str:
    """An owner's form of progress; what is not usable is told where files are read."""
    with suppress(PatternError):
        if progress:
            check(progress, sensitive=False, re2_only=True, memory=LITTLE_MEMORY)
            return progress
    return ""


def _nobody_listens(_attempt: int, _new: object, _pulse: Pulse | None) -> None:
    """Until the loop is built, news are only stored."""
