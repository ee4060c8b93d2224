"""What ajrd takes for granted of Loki: true of the double, and of a real one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ajrd.errors import LokiRefused, LokiTooMuch
from ajrd.loki.client import Access, Frame, Loki
from ajrd.loki.entries import Entry, Reader, name_of
from ajrd.loki.health import Health
from ajrd.loki.sweep import Pages
from tests.loki.place import Place
from tests.loki.shipping import numbered

SECOND = 10**9


@asynccontextmanager
async def opened(loki: Place) -> AsyncIterator[Loki]:
    client = Loki(Access(url=loki.url), "", Reader(frozenset({"job_id"})), Health(""))
    yield client
    await client.close()


async def eventually(client: Loki, loki: Place, start: int, count: int) -> list[Entry]:
    """The entries of the test once Loki shows all of them."""
    while True:
        found = await client.query(loki.selector, start, start + 600 * SECOND, 5000)
        if len(found) >= count:
            return found
        await asyncio.sleep(0.05)


async def test_a_stretch_begins_with_its_start_and_ends_before_its_end(loki: Place) -> None:
    now = time.time_ns()
    await loki.shipper.ship(loki.labels(), numbered(["a", "b", "c"], now))
    async with opened(loki) as client:
        await eventually(client, loki, now, 3)
        found = await client.query(loki.selector, now, now + 2, 10)
        assert [(entry.ns - now, entry.line) for entry in found] == [(0, "a"), (1, "b")]
        assert await client.query(loki.selector, now, now, 10) == []


async def test_backwards_the_newest_come_first(loki: Place) -> None:
    now = time.time_ns()
    await loki.shipper.ship(loki.labels(), numbered(["a", "b", "c"], now))
    async with opened(loki) as client:
        await eventually(client, loki, now, 3)
        found = await client.query(loki.selector, now, now + 9, 2, forward=False)
        assert [entry.line for entry in found] == ["c", "b"]


async def test_more_than_the_limit_is_refused_with_the_limit(loki: Place) -> None:
    async with opened(loki) as client:
        with pytest.raises(LokiTooMuch, match=r"max entries limit .*> 5000\)"):
            await client.query(loki.selector, time.time_ns() - SECOND, time.time_ns(), 5001)


async def test_a_mistake_is_refused_in_words(loki: Place) -> None:
    async with opened(loki) as client:
        with pytest.raises(LokiRefused, match="parse error"):
            await client.query("{job=", 0, 1, 10)


async def test_structured_metadata_stands_beside_a_line_of_a_query_and_of_a_tail(
    loki: Place,
) -> None:
    now = time.time_ns()
    async with opened(loki) as client:
        async with client.tail(loki.selector, now) as frames:
            metadata = {"job_id": "7", "trace": "x"}
            await loki.shipper.ship(loki.labels(), numbered(["a"], now), metadata)
            tailed = await first_entry(frames)
        queried = (await eventually(client, loki, now, 1))[0]
    assert tailed == queried
    assert tailed.stream.labels["job_id"] == "7"
    assert "trace" not in tailed.stream.labels
    assert "detected_level" not in tailed.stream.labels


async def test_an_entry_is_the_same_in_the_history_of_a_tail_and_in_a_query(loki: Place) -> None:
    now = time.time_ns()
    await loki.shipper.ship(loki.labels(), numbered(["a"], now), {"job_id": "7", "trace": "x"})
    async with opened(loki) as client:
        queried = (await eventually(client, loki, now, 1))[0]
        async with client.tail(loki.selector, now) as frames:
            tailed = await first_entry(frames)
    assert name_of(tailed) == name_of(queried)


async def first_entry(frames: AsyncIterator[Frame]) -> Entry:
    async with asyncio.timeout(20):
        async for frame in frames:
            if frame.entries:
                return frame.entries[0]
    raise AssertionError("the tail has ended")


async def test_a_name_in_the_metadata_narrows_a_query(loki: Place) -> None:
    now = time.time_ns()
    await loki.shipper.ship(loki.labels(), numbered(["a"], now), {"job_id": "7"})
    await loki.shipper.ship(loki.labels(), numbered(["b"], now + 1), {"job_id": "8"})
    async with opened(loki) as client:
        await eventually(client, loki, now, 2)
        found = await client.query(f"{loki.selector} | job_id=`8`", now, now + 9, 10)
        assert [entry.line for entry in found] == ["b"]


@pytest.mark.parametrize("streams", [1, 3])
async def test_groups_of_equal_time_larger_than_a_page_are_read_whole(
    loki: Place, streams: int
) -> None:
    now = time.time_ns() - 5 * SECOND
    lines = [f"line {number}" for number in range(300)]
    for stream in range(streams):
        own = [f"{stream} {line}" for line in lines]
        await loki.shipper.ship(loki.labels(n=str(stream)), [(now, line) for line in own])
    await loki.shipper.ship(loki.labels(), numbered(["before", "after"], now - 1, 2))
    async with opened(loki) as client:
        await eventually(client, loki, now - 1, min(300 * streams + 2, 5000))
        pages = Pages(client, 100, SECOND, SECOND)
        found = [
            entry.line
            async for page in pages.read(loki.selector, now - SECOND, now + SECOND)
            for entry in page
        ]
    assert len(set(found)) == 300 * streams + 2
    assert client.health.unsplit == 0


async def test_it_is_ready_and_tells_its_version(loki: Place) -> None:
    async with opened(loki) as client:
        assert await client.ready() == "ready"
        assert (await client.version())[0].isdigit()
