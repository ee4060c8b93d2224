"""However many read, half of the time is left for recovery."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from ajrd.web.share import BURST, SHARE, Share


def work(seconds: float) -> None:
    """Keeps the thread busy."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def read(share: Share, until: float) -> None:
    while time.monotonic() < until:
        async with share.turn():
            await asyncio.sleep(0)
            work(0.05)
            await asyncio.sleep(0)


async def test_many_readers_get_half_of_the_time_and_no_more() -> None:
    share, begun, worked = Share(), time.monotonic(), time.thread_time()
    await asyncio.gather(*(read(share, begun + 5) for _ in range(20)))
    passed = time.monotonic() - begun
    assert time.thread_time() - worked < BURST + SHARE * passed + 0.5


async def test_who_reads_now_and_then_waits_for_nothing() -> None:
    worked = iter(range(100))
    share = Share(ticks=lambda: 0.0, worked=lambda: next(worked) * BURST / 20)
    async with asyncio.timeout(0):  # ends whatever waits for anything
        for _ in range(5):
            async with share.turn():
                pass


async def test_who_goes_away_leaves_his_turn_to_others() -> None:
    share = Share()
    tasks = [asyncio.create_task(_stay(share)) for _ in range(10)]
    await asyncio.sleep(0.05)
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    async with asyncio.timeout(5), share.turn():
        pass


async def _stay(share: Share) -> None:
    async with share.turn():
        await asyncio.sleep(60)
