"""Keeps the records of efficiency in step with the attempts. Nothing waits for this.

Level-triggered: what has to be reckoned is asked of the store, never told. At first every attempt
without a complete record is looked up, later only new ones; each is reckoned again and again until
its record is complete: its end is some minutes old and its successor has made progress or is over.
Whatever crashes in between is found again, by this ajrd or by the next leader. The longer ago the
end of an attempt is, the less often it is looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeVar

import structlog

from ajrd.errors import StoreUnavailable
from ajrd.recovery.gathering import reckon
from ajrd.recovery.settings import Clock
from ajrd.store.efficiency import EfficiencyRecord, newest_attempt, unfinished
from ajrd.store.store import Store

T = TypeVar("T")
log = structlog.get_logger("ajrd.efficiency")

#: Seconds between two turns.
EVERY = 10.0
#: After so many seconds at the latest an incomplete record is reckoned again; before, after a tenth
#: of the time since the end of its attempt.
SELDOM = 300.0
#: So many numbers of attempts are looked through by one query, so many are reckoned by one, and so
#: many records are written at once: a recovery waits for no more than that.
STRETCH, BATCH, WRITTEN = 2000, 100, 20


class Bookkeeping:
    """The records of a leader. ``manual_baseline`` (s) is asked for at every turn."""

    def __init__(
        self,
        store: Store,
        manual_baseline: Callable[[], float],
        clock: Clock,
        every: float = EVERY,
    ) -> None:
        self._store = store
        self._manual_baseline = manual_baseline
        self._clock = clock
        self._every = every
        self._looked_at = 0
        self._open: dict[int, datetime] = {}
        self._written: dict[int, EfficiencyRecord] = {}

    async def run(self) -> None:
        """Turns until cancelled, or until another ajrd leads."""
        while True:
            try:
                await self.turn()
            except StoreUnavailable as error:
                log.warning("unknown", doing="efficiency", why=str(error))
            await asyncio.sleep(self._every)

    def again(self, attempts: Iterable[int]) -> None:
        """Reckon these once more: something about them was corrected."""
        self._open.update(dict.fromkeys(attempts, self._clock()))

    async def turn(self) -> None:
        """Reckons whatever is open; raises StoreUnavailable, and goes on there the next time."""
        await self._find_new()
        now = self._clock()
        due = sorted(attempt for attempt, when in self._open.items() if when <= now)
        for batch in _batches(due, BATCH):
            await self._reckon(batch)

    async def _find_new(self) -> None:
        newest = (await self._store.look_up(newest_attempt()))[0]["newest"] or 0
        if newest < self._looked_at:
            self._begin_anew()
        while self._looked_at < newest:
            upto = min(self._looked_at + STRETCH, newest)
            found = await self._store.look_up(unfinished(self._looked_at, upto))
            self.again(row["id"] for row in found)
            self._looked_at = upto

    def _begin_anew(self) -> None:
        """The newest attempts were pruned: SQLite gives their numbers to others."""
        self._looked_at = 0
        self._open.clear()
        self._written.clear()

    async def _reckon(self, batch: list[int]) -> None:
        now = self._clock()
        records = await reckon(self._store, batch, now, self._manual_baseline())
        changed = [record for record in records if self._written.get(record.attempt) != record]
        for few in _batches(changed, WRITTEN):
            await self._store.save_efficiency(few, now)
        for record in records:
            self._put_off(record, now)

    def _put_off(self, record: EfficiencyRecord, now: datetime) -> None:
        if record.parts.complete:
            self._open.pop(record.attempt, None)
            self._written.pop(record.attempt, None)
            return
        assert record.ended_at is not None
        age = (now - record.ended_at).total_seconds()
        self._open[record.attempt] = now + timedelta(seconds=min(max(age / 10, 0.0), SELDOM))
        self._written[record.attempt] = record


def _batches(values: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch
