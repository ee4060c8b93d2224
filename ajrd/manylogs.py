"""Several sources of logs as one: files, Loki, or both."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from ajrd.logwatch import Hear, Learn
from ajrd.model import Directive, JobInfo
from ajrd.recovery.settings import Logs
from ajrd.store.records import AttemptRecord, JobRecord


class Watch(Logs, Protocol):
    """A source of logs: reads while :meth:`run` runs, and tells of it."""

    learn: Learn
    hear: Hear

    async def run(self) -> None:
        """Reads until cancelled."""


class ManyLogs:
    """The :class:`~ajrd.recovery.settings.Logs` of the service."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self._watches = watches

    def tell(self, learn: Learn, hear: Hear) -> None:
        """Who is told of everything."""
        for watch in self._watches:
            watch.learn, watch.hear = learn, hear

    async def run(self) -> None:
        """Reads all of them until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for watch in self._watches:
                tasks.create_task(watch.run(), name=type(watch).__name__)

    async def attend(
        self, job: JobRecord, seen: JobInfo, attempt: AttemptRecord, directive: Directive
    ) -> None:
        """Follow the logs of an attempt in each of them."""
        for watch in self._watches:
            await watch.attend(job, seen, attempt, directive)

    async def drain(self, attempt: int, limit: float) -> bool:
        """Reads all of them to their end at the same time; False if one could not be."""
        drained = await asyncio.gather(*(watch.drain(attempt, limit) for watch in self._watches))
        return all(drained)

    async def leave(self, attempt: int) -> None:
        """Stop following an attempt."""
        for watch in self._watches:
            await watch.leave(attempt)
