"""Pages that are put together from stretches: complete, without repetition, and ended in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest

from ajrd.store import listing
from ajrd.store.engine import Database
from ajrd.web import paging
from ajrd.web.paging import Page, Wanted, read
from tests.unit.samples import at
from tests.web.serving import a_store

ROWS = 40


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """40 events, of which every seventh is a rare one."""
    async with a_store(tmp_path) as (store, address):
        for number in range(1, ROWS + 1):
            await store.log(at(0), "often" if number % 7 else "rare", str(number))
        database = Database(address)
        yield database
        await database.close()


def slow() -> Callable[[], float]:
    """A clock by which everything takes too long."""
    seconds = count()
    return lambda: float(next(seconds))


async def all_pages(
    database: Database, ticks: Callable[[], float], limit: int, **filters: object
) -> list[Page]:
    pages: list[Page] = []
    cursor: int | None = None
    while not pages or cursor is not None:
        wanted = Wanted(filters=filters, limit=limit, cursor=cursor)
        pages.append(await read(database, listing.EVENTS, wanted, ticks))
        cursor = pages[-1].next
        assert len(pages) <= ROWS
    return pages


@pytest.mark.parametrize("first", [1, 2, 3, 7, 39, 40, 41])
@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_stretches_make_a_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch, first: int, limit: int
) -> None:
    monkeypatch.setattr(paging, "FIRST", first)
    pages = await all_pages(database, lambda: 0.0, limit, event="rare")
    assert [row["id"] for page in pages for row in page.rows] == [35, 28, 21, 14, 7]
    assert all(len(page.rows) == limit for page in pages[:-1])


async def test_a_page_that_takes_too_long_ends_and_the_next_one_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "FIRST", 4)
    pages = await all_pages(database, slow(), 100, event="rare")
    assert len(pages) == ROWS // 4
    assert [row["id"] for page in pages for row in page.rows] == [35, 28, 21, 14, 7]
    assert any(page.rows == [] and page.next for page in pages)
