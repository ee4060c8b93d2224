"""Puts the times of ended attempts right when Slurm's accounting has them.

A look at slurmctld tells the end of an attempt up to one poll late, and nothing of what happened
while ajrd was down. Accounting knows to the second, but late: slurmdbd may have been away. So the
attempts of the last days are compared again and again, slowly, until accounting has told of each;
a cluster without accounting is asked once an hour whether it has any by now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from ajrd.errors import SlurmUnavailable, StoreUnavailable
from ajrd.recovery.bookkeeping import Bookkeeping
from ajrd.recovery.settings import Clock
from ajrd.slurm.accounting import MOST, Execution
from ajrd.store.efficiency import Accounted, attempts_of_jobs, ended_since
from ajrd.store.rows import Row, moment
from ajrd.store.store import Store

log = structlog.get_logger("ajrd.accounting")

#: Seconds between two rounds, and after one in which there was no accounting.
EVERY, WITHOUT = 300.0, 3600.0
#: How long accounting may be late.
LATE = timedelta(days=3)
#: An execution is the attempt that started as many seconds from it at most: the attempt's start may
#: be the look that found it running.
_SAME = timedelta(seconds=5)


class Executions(Protocol):
    """Accounting: :class:`~ajrd.slurm.accounting.Sacct`, or what a test says."""

    async def executions(self, raw_ids: Iterable[int]) -> list[Execution]:
        """Every execution of the jobs that is over; raises SlurmUnavailable."""


class Accounting:
    """The slow loop of a leader."""

    def __init__(self, sacct: Executions, store: Store, books: Bookkeeping, clock: Clock) -> None:
        self._sacct = sacct
        self._store = store
        self._books = books
        self._clock = clock
        self._told: set[int] = set()

    async def run(self) -> None:
        """Rounds until cancelled, or until another ajrd leads."""
        while True:
            pause = EVERY
            try:
                await self.round()
            except StoreUnavailable as error:
                log.warning("unknown", doing="accounting", why=str(error))
            except SlurmUnavailable as error:
                log.info("no_accounting", why=str(error))
                pause = WITHOUT
            await asyncio.sleep(pause)

    async def round(self) -> None:
        """Compares what ended lately; raises SlurmUnavailable or StoreUnavailable."""
        recent = await self._store.look_up(ended_since(self._clock() - LATE))
        self._told &= {row["attempt"] for row in recent}
        untold = [row for row in recent if row["attempt"] not in self._told]
        for start in range(0, len(untold), MOST):
            await self._compare(untold[start : start + MOST])

    async def _compare(self, rows: Sequence[Row]) -> None:
        found = await self._sacct.executions(sorted({row["raw_id"] for row in rows}))
        by_job: dict[int, list[Execution]] = {}
        for execution in found:
            by_job.setdefault(execution.raw_id, []).append(execution)
        told = [(row, _its_own(row, by_job)) for row in rows]
        known = [(row, execution) for row, execution in told if execution is not None]
        wrong = {
            Accounted(row["attempt"], execution.start, execution.end): row["job"]
            for row, execution in known
            if _differs(row, execution)
        }
        if wrong:
            await self._correct(wrong)
        self._told.update(row["attempt"] for row, _ in known)

    async def _correct(self, found: Mapping[Accounted, int]) -> None:
        """``found`` tells the job of each; the attempts beside it are reckoned from it, too."""
        await self._store.correct_times(list(found))
        beside = await self._store.look_up(attempts_of_jobs(set(found.values())))
        self._books.again(row["id"] for row in beside)
        log.info("times_corrected", attempts=len(found))


def _its_own(row: Row, by_job: Mapping[int, Sequence[Execution]]) -> Execution | None:
    """The execution that this attempt was: a job number may stand for several jobs."""
    started = _known(row["started_at"])
    mine = [e for e in by_job.get(row["raw_id"], ()) if abs(e.start - started) <= _SAME]
    return min(mine, key=lambda e: abs(e.start - started), default=None)


def _differs(row: Row, told: Execution) -> bool:
    return (told.start, told.end) != (_known(row["started_at"]), _known(row["ended_at"]))


def _known(value: object) -> datetime:
    when = moment(value)
    assert when is not None
    return when
