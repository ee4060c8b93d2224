"""Lists are answered from indexes, window by window, however long the history is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations

import pytest

from ajrd.store import listing, requests, story
from ajrd.store.driver import Connection, connect
from ajrd.store.listing import Listing
from ajrd.store.queries import Query
from ajrd.store.store import Store
from tests.database.many import history
from tests.database.server import Schema

#: What EXPLAIN calls reading a whole table or a whole index.
SCANS = {"ALL", "index"}
ATTEMPTS = 20_000
#: A value of each filter: one that leaves little, and one that leaves much.
VALUES: Mapping[str, tuple[object, object]] = {
    "job": ("7", "9000"),
    "user": ("u49", "u0"),
    "partition": ("none", "p1"),
    "state": ("open", "COMPLETED"),
    "kind": ("NODE", "CRASH"),
    "cause": ("xid", "segfault"),
    "role": ("benign", "root"),
    "verb": ("stop", "requeue"),
    "event": ("reload", "decision"),
    "node": ("none", "n7"),
    "since": ("2027-01-01 00:00:00.000000", "2026-01-01 00:00:00.000000"),
    "until": ("2026-01-01 00:00:00.000000", "2027-01-01 00:00:00.000000"),
}


#: What is asked beside lists: of one job, of requests, of events as they come.
SINGLE = (
    listing.events_behind(ATTEMPTS - 5, 500),
    listing.events_numbered([7, ATTEMPTS - 5]),
    story.attempts(7),
    story.anomalies(7),
    story.decisions(7),
    story.actions(7),
    story.sources(7),
    requests.open_requests(),
    requests.requests_of(7),
    requests.request_by_id(7),
)


def filters_of(each: Listing) -> Iterator[dict[str, object]]:
    """None, each alone and each pair, with a value that leaves little and one that leaves much."""
    yield {}
    for which in (0, 1):
        for names in [*combinations(each.filters, 1), *combinations(each.filters, 2)]:
            yield {name: VALUES[name][which] for name in names}


def scanned(reader: Connection, query: Query) -> list[object]:
    """The steps in which MariaDB would read a whole table or index."""
    steps = reader.all(Query(f"EXPLAIN {query.sql}", query.values))
    return [dict(step) for step in steps if step["type"] in SCANS]


async def test_no_page_reads_a_table_from_end_to_end(mysql: Schema) -> None:
    await (await Store.open(mysql.address())).close()
    mysql.query(history(ATTEMPTS))
    reader = connect(mysql.address())
    for each in listing.ALL:
        for wanted in filters_of(each):
            for owner in (None, "u49", "u0"):
                for floor in (ATTEMPTS - 1000, ATTEMPTS // 2, 1):
                    query = each.rows(wanted, floor, ATTEMPTS + 1, 101, owner)
                    assert scanned(reader, query) == [], (each.table, wanted, owner, floor)
        assert reader.all(each.span())[0]["least"] == 1
    for query in SINGLE:
        assert scanned(reader, query) == [], query.sql
    reader.close()


@pytest.mark.parametrize("each", listing.ALL, ids=lambda each: each.table)
def test_every_filter_has_a_value_in_this_test(each: Listing) -> None:
    assert set(each.filters) <= set(VALUES)
