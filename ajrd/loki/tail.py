"""The tail: what arrives, at once. A hint and never the record, for it drops what is too much."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from ajrd.errors import LokiRefused, LokiUnavailable
from ajrd.loki.client import Loki
from ajrd.loki.entries import Entry

log = structlog.get_logger("ajrd.loki")

#: Seconds before a lost connection is tried again: the first pause, the last, and that after which
#: Loki may let a user in whom it has refused.
FIRST_PAUSE, LAST_PAUSE, REFUSED_PAUSE = 0.5, 30.0, 60.0
#: A tail begins a little before now, so that a new connection leaves no gap, ns.
_BACK = 5_000_000_000


@dataclass(slots=True)
class Pause:
    """Growing pauses with jitter, so that many clients do not come back at once."""

    length: float = 0.0

    def next(self, error: LokiUnavailable) -> float:
        """How long to wait after this error, seconds."""
        self.length = min(max(self.length * 2, FIRST_PAUSE), LAST_PAUSE)
        least = REFUSED_PAUSE if isinstance(error, LokiRefused) else self.length
        return error.pause + least * random.uniform(0.5, 1.0)  # noqa: S311 -- no secret

    def over(self) -> None:
        """It works again."""
        self.length = 0.0


async def follow(
    loki: Loki,
    logql: str,
    take: Callable[[list[Entry]], Awaitable[None]],
    gap: Callable[[], None],
) -> None:
    """Hands on what a tail brings, until cancelled; ``gap`` is told when entries were left out."""
    pause = Pause()
    while True:
        try:
            async with loki.tail(logql, time.time_ns() - _BACK) as frames:
                loki.health.tails += 1
                try:
                    gap()
                    async for frame in frames:
                        pause.over()
                        loki.health.dropped += frame.dropped
                        if frame.dropped:
                            gap()
                        await take(frame.entries)
                finally:
                    loki.health.tails -= 1
        except LokiUnavailable as error:
            log.info("tail_lost", tenant=loki.health.tenant, why=str(error))
            loki.health.errors["tail"] += 1
            await asyncio.sleep(pause.next(error))
