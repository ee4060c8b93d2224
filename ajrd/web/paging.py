"""One page of a list: stretches of the store until enough was found, or enough time has gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ajrd.store import rows
from ajrd.store.engine import Database
from ajrd.store.listing import Listing
from ajrd.web.nodelist import among

#: Numbers in the first stretch of a page.
FIRST = 2000
#: Seconds: no stretch is begun later than ENOUGH; one quicker than QUICK is followed by a longer.
#: What most readers ask for is found in the first one.
ENOUGH, QUICK = 0.25, 0.05
#: Rows that one query brings at least where they are chosen here and not by the database.
_TO_CHOOSE_FROM = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest first. ``next``: where the next page begins; None: there is none.

    There may be a next one although this one is short, or empty.
    """

    rows: list[dict[str, Any]]
    next: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """``filters`` are those of the listing; ``node`` one that the row's node list must hold.

    ``cursor``: only lower numbers. ``owner``: only what is this user's.
    """

    filters: Mapping[str, object]
    limit: int
    cursor: int | None = None
    owner: str | None = None
    node: str = ""


async def read(
    database: Database,
    listing: Listing,
    wanted: Wanted,
    ticks: Callable[[], float] = time.monotonic,
) -> Page:
    """The next page; raises StoreUnavailable."""
    span = (await database.all(listing.span()))[0]
    if span["least"] is None:
        return Page([], None)
    least, before = int(span["least"]), int(span["most"]) + 1
    before = before if wanted.cursor is None else min(before, wanted.cursor)
    found: list[dict[str, Any]] = []
    size, began = FIRST, ticks()
    asked = began
    while before > least:
        floor = max(least, before - size)
        await _look(database, listing, wanted, floor, before, found)
        if len(found) > wanted.limit:
            kept = found[: wanted.limit]
            return Page(kept, kept[-1]["id"])
        now, before = ticks(), floor
        if now - began >= ENOUGH:
            break
        asked, size = now, size * 2 if now - asked < QUICK else size
    return Page(found, before if before > least else None)


async def _look(
    database: Database,
    listing: Listing,
    wanted: Wanted,
    floor: int,
    before: int,
    found: list[dict[str, Any]],
) -> None:
    """Adds what one stretch holds to ``found``, until that is more than a page."""
    ask = max(wanted.limit + 1, _TO_CHOOSE_FROM) if wanted.node else wanted.limit + 1
    while len(found) <= wanted.limit:
        query = listing.rows(wanted.filters, floor, before, ask, wanted.owner)
        got = await database.all(query)
        there = await among((row["nodes"] for row in got), wanted.node) if wanted.node else ()
        found += [rows.plain(row) for row in got if not wanted.node or row["nodes"] in there]
        if len(got) < ask:
            return
        before = got[-1]["id"]
