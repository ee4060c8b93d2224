"""The audit trail as it grows: server-sent events, read from the store once for all who listen.

Numbers of events are given out when they are written and become visible when their transaction is
kept, so a lower number may appear after a higher one. Each event is sent as soon as it is seen; the
number that is sent with it as ``id`` is the one up to which nothing can come any more. Whoever
resumes from there (``Last-Event-ID``) misses none; he may be told a few again, which ``number`` in
the data tells.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from ajrd.errors import StoreUnavailable
from ajrd.store import rows
from ajrd.store.engine import Database
from ajrd.store.listing import events_behind, events_numbered, newest_event
from ajrd.web.answer import encoded
from ajrd.web.identity import Identity
from ajrd.web.models import Event

log = structlog.get_logger("ajrd.web")

#: Seconds between two looks; how long a number that is missing may still appear.
POLL, SETTLES = 0.5, 30.0
#: Events of one look; events that one listener may be behind; those that a resumption brings.
BATCH, BEHIND, RESUMED = 500, 2000, 2000


@dataclass(frozen=True, slots=True)
class Heard:
    """One event as it is sent, with what decides who gets it; ``job_id`` "": the service itself."""

    number: int
    user: str
    job_id: str
    text: bytes

    @classmethod
    def of(cls, row: rows.Row) -> Heard:
        """From a row of :func:`~ajrd.store.listing.events_behind`."""
        data = encoded(Event.model_validate(rows.plain(row)).model_dump(mode="json"))
        return cls(row["id"], row["user"] or "", row["job_id"] or "", b"data: " + data + b"\n\n")


@dataclass(slots=True, eq=False)
class Listener:
    """One open stream: what it wants, and what it has not been sent yet."""

    identity: Identity
    job: str = ""
    user: str = ""
    behind: int = 0
    _chunks: list[bytes] = field(default_factory=list)
    _count: int = 0
    _lost: int = 0
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _over: bool = False

    @property
    def wants_all(self) -> bool:
        """Does it get every event there is? Then all such are sent the same bytes."""
        return self.identity.sees_all and not (self.job or self.user or self.behind)

    def wants(self, heard: Heard) -> bool:
        """May and does it want to know?"""
        return (
            heard.number > self.behind
            and self.identity.may_see(heard.user)
            and self.job in ("", heard.job_id)
            and self.user in ("", heard.user)
        )

    def offer(self, chunk: bytes, count: int) -> None:
        """Events to be sent; a listener that is too far behind loses what it has not got."""
        if self._count + count > BEHIND:
            self._lost += self._count + count
            self._chunks, self._count = [], 0
        else:
            self._chunks.append(chunk)
            self._count += count
        self._wake.set()

    def end(self) -> None:
        """Nothing will come any more."""
        self._over = True
        self._wake.set()

    async def take(self, patience: float) -> bytes | None:
        """What there is to send, b"" after ``patience`` seconds of nothing; None: it is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await self._wake.wait()
        if self._over:
            return None
        self._wake.clear()
        chunks, lost = self._chunks, self._lost
        self._chunks, self._count, self._lost = [], 0, 0
        return (lagged(lost) if lost else b"") + b"".join(chunks)


def lagged(lost: int) -> bytes:
    """Says how many events were left out: the reader should look at the lists again."""
    return b"event: lagged\ndata: " + encoded({"lost": lost}) + b"\n\n"


@dataclass(slots=True)
class Hub:
    """Reads new events while anybody listens, and hands them to all who do."""

    database: Database
    ticks: Callable[[], float] = time.monotonic
    poll: float = POLL
    _listeners: set[Listener] = field(default_factory=set)
    _some: asyncio.Event = field(default_factory=asyncio.Event)
    _position: int | None = None
    _missing: dict[int, float] = field(default_factory=dict)
    _away: bool = False

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._listeners)

    def of_user(self, user: str) -> int:
        """How many of them are this user's."""
        return sum(each.identity.user == user for each in self._listeners)

    def close(self) -> None:
        """Ends all streams."""
        for listener in self._listeners:
            listener.end()

    def leave(self, listener: Listener) -> None:
        """It listens no more."""
        self._listeners.discard(listener)
        if not self._listeners:
            self._some.clear()

    async def join(self, listener: Listener, last: int | None) -> bytes:
        """Lets it listen; what it has missed since ``last``. Raises StoreUnavailable.

        A number that is not there yet is of another database: that says nothing of this one.
        """
        newest = await self._newest()
        if self._position is None:
            self._position = newest
        here = self._position
        self._listeners.add(listener)
        self._some.set()
        if last is None:
            return b""
        if last > newest:
            return lagged(0)
        listener.behind = last if last > here else 0
        return await self._missed(listener, last, here)

    async def run(self) -> None:
        """Polls while there are listeners, until cancelled; no error ends it."""
        while True:
            await self._some.wait()
            try:
                await self._look()
                self._say_away(away=False)
            except StoreUnavailable:
                self._say_away(away=True)
            except Exception:
                log.exception("web_stream_failed")
            await asyncio.sleep(self.poll)
            if not self._listeners:
                self._position = None
                self._missing.clear()

    async def _newest(self) -> int:
        return int((await self.database.all(newest_event()))[0]["most"] or 0)

    async def _missed(self, listener: Listener, last: int, here: int) -> bytes:
        """Events above ``last`` up to ``here``; of too many none, but that it is so."""
        if here - last > RESUMED:
            return lagged(here - last)
        found = [Heard.of(row) async for row in self._rows(last) if row["id"] <= here]
        return _together([each for each in found if listener.wants(each)], self._settled())

    async def _rows(self, number: int) -> AsyncIterator[rows.Row]:
        while True:
            got = await self.database.all(events_behind(number, BATCH))
            for row in got:
                yield row
            if len(got) < BATCH:
                return
            number = got[-1]["id"]

    async def _look(self) -> None:
        if self._position is None:
            self._position = await self._newest()
            return
        found: list[rows.Row] = []
        if self._missing:
            found += await self.database.all(events_numbered(self._missing))
        new = await self.database.all(events_behind(self._position, BATCH))
        found += new
        self._note([row["id"] for row in found])
        if found:
            self._tell([Heard.of(row) for row in found])

    def _note(self, seen: Sequence[int]) -> None:
        """Moves on, and remembers the numbers that were passed over."""
        assert self._position is not None
        now, top = self.ticks(), max([self._position, *seen])
        passed = range(self._position + 1, top)
        until = now + SETTLES
        fresh = dict.fromkeys(passed, until) if len(passed) <= 10 * BATCH else {}
        known = self._missing | fresh
        told = set(seen)
        self._missing = {
            number: end for number, end in known.items() if number not in told and end > now
        }
        self._position = top

    def _settled(self) -> int:
        """Nothing that is not told yet has this number or a lower one."""
        return min(self._missing, default=(self._position or 0) + 1) - 1

    def _tell(self, found: Sequence[Heard]) -> None:
        settled = self._settled()
        whole = _together(found, settled)
        for listener in list(self._listeners):
            if listener.wants_all:
                listener.offer(whole, len(found))
                continue
            mine = [each for each in found if listener.wants(each)]
            if mine:
                listener.offer(_together(mine, settled), len(mine))

    def _say_away(self, *, away: bool) -> None:
        if away == self._away:
            return
        self._away = away
        chunk = b"event: away\ndata: {}\n\n" if away else b"event: back\ndata: {}\n\n"
        for listener in self._listeners:
            listener.offer(chunk, 1)


def _together(found: Iterable[Heard], settled: int) -> bytes:
    mark = b"id: %d\n" % settled
    return b"".join(mark + each.text for each in found)


def as_number(text: str | None) -> int | None:
    """What a reader says that he has seen last; nonsense is as good as nothing."""
    if not text or not (text.isascii() and text.isdigit()) or len(text) > 18:
        return None
    return int(text)
