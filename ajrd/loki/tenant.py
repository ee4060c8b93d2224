"""One tenant of Loki: its tails, its sweep, and what of both the store has yet to keep.

The sweep is a loop over *rounds*. A round reads from a little before where the last one ended up to
now, for entries come late: every round reads ``overlap`` again, and the first one, every 5 minutes
one, and one after each trouble all of ``late``. What was read is offered to the store together with
the place that was reached, so after a restart nothing lies behind that place unread. A tail only
makes it quicker: what it brings is judged at once, and where it says or may have left something out
a round follows at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog

from ajrd.errors import LokiRefused, LokiUnavailable, StoreUnavailable
from ajrd.loki.attribute import SECOND, SKEW, Known, Owner, Roster
from ajrd.loki.client import Loki
from ajrd.loki.context import around
from ajrd.loki.entries import Entry
from ajrd.loki.health import State
from ajrd.loki.listen import Ears, Told, What
from ajrd.loki.logql import Filters
from ajrd.loki.questions import Question, Selection
from ajrd.loki.sweep import Pages
from ajrd.loki.tail import Pause, follow
from ajrd.loki.unkept import Unkept, position
from ajrd.model import Anomaly
from ajrd.policy.evidence import Pulse, is_fatal
from ajrd.store.evidence import BY_LOKI
from ajrd.store.records import AnomalyRecord, Cursor
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.loki")

#: Seconds between two rounds however much hurry there is, and between two that read all of `late`.
LEAST, DEEP_EVERY = 0.2, 300.0
#: How far ahead of this host's clock those of nodes may be: Loki takes no later entries, ns.
AHEAD = 600 * SECOND
#: Findings older than this when they are read may be answered by progress long ago, ns.
_OLD = 15 * SECOND
#: By how much progress in another stream must be later than a line to answer it, ns.
_SURELY_LATER = 1 * SECOND
#: Progress is read from so long before the last round on, ns; answers that one round reads of it.
_PROGRESS_BACK, _PROGRESS_PAGES = 10 * SECOND, 4
#: The cursor alone is kept when it has moved so far, ns.
_WORTH_KEEPING = 2 * SECOND
#: Findings of an attempt whose surroundings are asked for, and seconds for one of them.
_SHOWN, _SHOWING = 3, 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Of the sweep: seconds, but for ``limit``, which is entries of one answer."""

    interval: float
    overlap: float
    late: float
    window: float
    limit: int
    tail: bool


@dataclass(frozen=True, slots=True)
class Hearers:
    """Who is told: of what was read, and of what is kept."""

    hear: Callable[[int, list[Anomaly], Pulse | None], None]
    learn: Callable[[int, list[AnomalyRecord], Pulse | None], None]


@dataclass(slots=True, eq=False)
class Tenant:
    """Reads one tenant; :meth:`run` until cancelled. ``name`` is that of its cursor."""

    loki: Loki
    name: str
    timing: Timing
    selection: Selection
    store: Store
    roster: Roster
    ears: Ears
    filters: Callable[[], Filters]
    owned: Callable[[], Iterable[str]]
    hearers: Callable[[], Hearers]
    clock: Callable[[], datetime]
    _unkept: Unkept = field(default_factory=Unkept)
    _new: list[int] = field(default_factory=list)
    _asked: list[asyncio.Future[None]] = field(default_factory=list)
    _hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _keeping: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tails: dict[Question, asyncio.Task[None]] = field(default_factory=dict)
    _shown: dict[int, int] = field(default_factory=dict)
    _resumed: int | None = None
    _read_to: int = 0
    _kept_to: int = 0
    _waits: int | None = None
    _progress_to: int = 0
    _deep_at: float = float("-inf")
    _early: bool = False
    _progress_since: dict[int, int] = field(default_factory=dict)

    async def run(self) -> None:
        """Sweeps and tails; what could not be kept is offered once more at the end."""
        pages = Pages(self.loki, self.timing.limit, *[int(self.timing.window * SECOND)] * 2)
        pause = Pause()
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    wait = await self._turn(pages, pause)
                    self._tend_tails(tasks)
                    await self._rest(wait)
        finally:
            with suppress(TimeoutError, LokiUnavailable):
                async with asyncio.timeout(2.0):
                    await self._keep()
            await self.loki.close()

    def adopt(self, attempt: int) -> None:
        """A new attempt: it is read from its start on, as far as an earlier run has not."""
        self._new.append(attempt)
        self._hurry.set()

    def looked(self) -> None:
        """Slurm was looked at: what was too early to be told may be told now."""
        if self._early:
            self._early = False
            self._hurry.set()

    def forget(self, attempt: int) -> None:
        """Nothing more is wanted of an attempt."""
        self._unkept.drop(attempt)
        self._shown.pop(attempt, None)

    def ask(self) -> asyncio.Future[None]:
        """Done when a round that begins from now on has read everything."""
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._hurry.set()
        return answer

    async def kept(self, attempt: int) -> None:
        """Until nothing of an attempt waits for the store."""
        while self._unkept.of(attempt):
            await self._keep()
            await asyncio.sleep(0.05)

    # rounds

    async def _turn(self, pages: Pages, pause: Pause) -> float:
        """One round; how long to wait before the next."""
        asked, self._asked = self._asked, []
        try:
            await self._round(pages)
        except LokiUnavailable as error:
            self.loki.health.fault(error)
            self.loki.health.lag = max((time.time_ns() - self._read_to) / SECOND, 0.0)
            self._deep_at = float("-inf")
            self._asked += asked
            return -pause.next(error)
        except StoreUnavailable as error:
            log.warning("loki_waits", tenant=self.loki.health.tenant, why=str(error))
            self._asked += asked
            return -LEAST * 5
        pause.over()
        for answer in asked:
            if not answer.done():
                answer.set_result(None)
        return self.timing.interval

    async def _rest(self, wait: float) -> None:
        """Until the next round; a negative time is not cut short by any hurry."""
        await asyncio.sleep(LEAST if wait > 0 else -wait)
        if wait > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._hurry.wait()
        self._hurry.clear()

    async def _round(self, pages: Pages) -> None:
        if self._resumed is None:
            await self._resume()
        await self._adopt_new()
        now = time.time_ns()
        if not self.roster.attempts:
            await self._idle(now)
            return
        if self._unkept.full:
            await self._keep()
        if self._unkept.full:
            raise StoreUnavailable("too much waits to be kept")
        start, deep = self._start()
        self._progress_since.clear()
        await self._read(pages, min(start, now), now)
        await self._read_progress(pages, now)
        if deep:
            self._deep_at = time.monotonic()
        self.loki.health.lag = (time.time_ns() - self._read_to) / SECOND
        self.loki.health.well()

    async def _idle(self, now: int) -> None:
        """Nobody's lines are wanted; whether they could be had is found out all the same."""
        self._read_to = now
        health = self.loki.health
        health.lag = 0.0
        if health.state is not State.WELL:
            selector = next(iter((*self.selection.jobs, *self.selection.nodes)))
            await self.loki.query(selector, now - 1, now, 1)
            health.well()

    async def _resume(self) -> None:
        """Where an earlier run has come to; without any from now on, but for running attempts."""
        known = await self.store.loki_cursor(self.name)
        now = time.time_ns()
        self._resumed = now if known is None else known
        self._read_to = min(self._resumed, now)

    def _start(self) -> tuple[int, bool]:
        """Where a round begins, and whether it reads all of ``late``."""
        deep = time.monotonic() - self._deep_at >= DEEP_EVERY
        back = self.timing.late if deep else self.timing.overlap
        oldest = min(known.began for known in self.roster.attempts.values())
        return max(self._read_to - int(back * SECOND), oldest - int(SKEW * SECOND)), deep

    async def _adopt_new(self) -> None:
        """Goes back to where the reading of new attempts has to begin."""
        while self._new:
            known = self.roster.attempts.get(self._new[0])
            if known is not None:
                await self._adopt(known)
            del self._new[0]

    async def _adopt(self, known: Known) -> None:
        attempt, start = known.attempt, known.began
        assert self._resumed is not None
        if await self._is_followed(attempt.id):
            start = max(start, min(self._resumed, self._read_to))
        elif attempt.id > 0:
            self._unkept.adopt(attempt, position(f"{BY_LOKI}{self.name}", start, 0))
        self._read_to = min(self._read_to, start)

    async def _is_followed(self, attempt: int) -> bool:
        """Has an earlier run read for this attempt up to its cursor?"""
        if attempt <= 0:
            return False
        try:
            positions = await self.store.positions(attempt)
        except StoreUnavailable:
            return False
        return any(known.path == f"{BY_LOKI}{self.name}" for known in positions)

    # reading

    async def _read(self, pages: Pages, start: int, now: int) -> None:
        questions = [q for q in self._questions() if q.what is not What.PROGRESS]
        step = int(self.timing.window * SECOND)
        self._waits = None
        while start < now:
            end = min(start + step, now)
            for question in questions:
                until = end if end < now else now + AHEAD
                await self._read_one(pages, question, start, until)
            self._read_to = max(self._read_to, end)
            await self._keep()
            start = end
        if self._waits is not None:
            self._early = True
            self._read_to = min(self._read_to, self._waits)

    async def _read_one(self, pages: Pages, question: Question, start: int, end: int) -> None:
        """Reads the answer to one question."""
        async for page in pages.read(question.logql, start, end):
            taken = await self.ears.take(question.what, page, self.loki.health)
            self._waits = min(filter(None, (self._waits, taken.waits)), default=None)
            for number, told in enumerate(taken.told):
                try:
                    await self._answered(told, pages)
                except BaseException:
                    self.ears.unsee(taken.told[number:])
                    raise
                self.loki.health.swept += len(told.found)
                self._tell(told)
            await self._show(taken.told)

    async def _read_progress(self, pages: Pages, now: int) -> None:
        """The newest progress is all that counts: backwards, and not for ever."""
        since = max(self._progress_to - _PROGRESS_BACK, now - int(self.timing.overlap * SECOND))
        for question in self._questions():
            if question.what is What.PROGRESS:
                with suppress(*([LokiRefused] if question.own else [])):
                    await self._newest(pages, question.logql, since, _PROGRESS_PAGES)
        self._progress_to = now

    async def _newest(self, pages: Pages, logql: str, since: int, most: int) -> None:
        entries = [e async for e in pages.newest(logql, since, time.time_ns() + AHEAD, most)]
        taken = await self.ears.take(What.PROGRESS, entries, self.loki.health)
        for told in taken.told:
            self._tell(told)

    async def _answered(self, told: Told, pages: Pages) -> None:
        """What is read long after it was written may have been answered by progress since.

        A round asks once for an attempt, and again only for what was written before that.
        """
        fatal = [each.finding.offset for each in told.found if is_fatal(each)]
        if not (fatal and told.owner.label) or max(fatal) > time.time_ns() - _OLD:
            return
        attempt, last = told.owner.attempt, max(fatal)
        if last < self._progress_since.get(attempt, last + 1):
            for logql in self.selection.progress_of(
                told.owner.label, told.owner.value, self.filters()
            ):
                await self._newest(pages, logql, last, 1)
            self._progress_since[attempt] = last
        newest = self.ears.newest_progress(attempt)
        if newest > last + _SURELY_LATER:
            self.hearers().hear(attempt, [], Pulse(told.source, newest, self.clock()))

    def _tell(self, told: Told) -> None:
        """At once, and without a pause since it was judged: nothing may come in between."""
        known = self.roster.attempts.get(told.owner.attempt)
        if known is None:
            return
        if told.pulse is not None:
            self.hearers().hear(told.owner.attempt, [], told.pulse)
        if told.found:
            self.hearers().hear(told.owner.attempt, list(told.found), None)
        self._unkept.add(known.attempt, told)

    async def _show(self, several: Iterable[Told]) -> None:
        """Adds the lines around the first findings of each attempt, if these can be had."""
        with suppress(LokiUnavailable, TimeoutError):
            async with asyncio.timeout(_SHOWING):
                for told in several:
                    for anomaly, entry in zip(told.found, told.entries, strict=True):
                        await self._show_one(told.owner, anomaly, entry)

    async def _show_one(self, owner: Owner, anomaly: Anomaly, entry: Entry) -> None:
        shown = self._shown.get(owner.attempt, 0)
        if shown >= _SHOWN or not owner.label:
            return
        self._shown[owner.attempt] = shown + 1
        for logql in self.selection.lines_of(owner.label, owner.value):
            before, after = await around(self.loki, logql, entry)
            if before or after:
                finding = replace(anomaly.finding, before=before, after=after)
                with_context = replace(anomaly, finding=finding)
                self._unkept.replace(owner.attempt, anomaly, with_context)
                return

    # keeping

    async def _keep(self) -> None:
        """Offers everything to the store, with the place up to which nothing is left unread."""
        async with self._keeping:
            cursor, everything = self._cursor(), self._unkept.take()
            news = [one for one in everything if one.attempt.id > 0]
            self._unkept.give_back([one for one in everything if one.attempt.id <= 0])
            if not news and (cursor is None or 0 <= cursor.ns - self._kept_to < _WORTH_KEEPING):
                return
            try:
                kept = await self.store.record_sweep(cursor, news, self.clock())
            except BaseException as error:
                self._unkept.give_back(news)
                if not isinstance(error, StoreUnavailable):
                    raise
                log.warning("evidence_waits", tenant=self.loki.health.tenant, why=str(error))
                return
            self._kept_to = self._kept_to if cursor is None else cursor.ns
        for record in kept:
            self.hearers().learn(record.attempt, [record], None)

    def _cursor(self) -> Cursor | None:
        """None while an attempt has still to be read from its start, or has no row yet."""
        if self._resumed is None or self._new or any(each <= 0 for each in self.roster.attempts):
            return None
        return Cursor(self.name, min(self._read_to, self._waits or self._read_to))

    # tails

    def _questions(self) -> list[Question]:
        return self.selection.questions(self.filters(), self.owned())

    def _tend_tails(self, tasks: asyncio.TaskGroup) -> None:
        """As many tails as there are questions, while anybody's lines are wanted."""
        wanted = self._questions() if self.timing.tail and self.roster.attempts else []
        for question in [question for question in self._tails if question not in wanted]:
            self._tails.pop(question).cancel()
        for question in wanted:
            if question not in self._tails:
                self._tails[question] = tasks.create_task(self._tail(question), name="tail")

    async def _tail(self, question: Question) -> None:
        async def take(entries: list[Entry]) -> None:
            if self._unkept.full:
                return
            taken = await self.ears.take(question.what, entries, self.loki.health)
            self._early = self._early or taken.waits is not None
            for told in taken.told:
                self._tell(told)
            if any(told.found for told in taken.told):
                self._hurry.set()
                await self._show(taken.told)
                await self._keep()

        def gap() -> None:
            if question.what is not What.PROGRESS:
                self._hurry.set()

        await follow(self.loki, question.logql, take, gap)
