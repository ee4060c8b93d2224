"""What the pages ask of the store: answered from an index, and by MariaDB as by SQLite."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import chain
from pathlib import Path

import pytest

from ajrd.store import overview
from ajrd.store.driver import connect
from ajrd.store.engine import Database
from ajrd.store.overview import Seek
from ajrd.store.queries import Query
from ajrd.store.store import Store
from ajrd.web.pages.lanes import Outcome
from ajrd.web.pages.look import find_jobs, told_of
from ajrd.web.pages.weeks import week_starts
from tests.database.server import Schema
from tests.database.test_queries import ROWS, SCANS
from tests.unit.samples import at
from tests.web.place import now
from tests.web.serving import a_store
from tests.web.stories import Teller, verification

NOW = at(0) + timedelta(days=3)
SEEK = Seek(since=NOW - timedelta(hours=2), until=NOW)
FULL = Seek(
    since=NOW - timedelta(hours=2),
    until=NOW,
    owner="u1",
    user="u1",
    partition="p1",
    outcome="failed",
    words="n3",
    stem="n",
)
WEEKS = week_starts(NOW + timedelta(weeks=8))
#: Each function of :mod:`ajrd.store.overview` that makes a query, as it is called.
QUERIES = {
    "timeline_jobs": [
        overview.timeline_jobs(seek, 51, closed=closed)
        for seek in (SEEK, FULL)
        for closed in (True, False)
    ],
    "job": [overview.job("7", None), overview.job("7", "u1")],
    "attempts_of": [overview.attempts_of([7, 8])],
    "nodes_of": [overview.nodes_of([7, 8], "n")],
    "decisions_on": [overview.decisions_on([7, 8])],
    "actions_of": [overview.actions_of([7, 8])],
    "anomalies_of": [overview.anomalies_of([7, 8], 12, around=it) for it in (True, False)],
    "sources_of": [overview.sources_of([7, 8])],
    "efficiency_of": [overview.efficiency_of([7, 8])],
    "requests_of": [overview.requests_of(7)],
    "suspicions": [overview.suspicions(NOW, None), overview.suspicions(NOW, "u1")],
    "node_anomalies": [overview.node_anomalies(NOW, None), overview.node_anomalies(NOW, "u1")],
    "newest_anomalies": [
        overview.newest_anomalies(NOW, None, "", "", 60),
        overview.newest_anomalies(NOW, "u1", "CRASH", "c", 60),
    ],
    "causes_by_week": [overview.causes_by_week(WEEKS, who) for who in (None, "u1")],
    "efficiency_by_week": [overview.efficiency_by_week(WEEKS, who) for who in (None, "u1")],
}
MORE_ROWS = """
INSERT INTO requests SELECT seq, seq, 'pause', 'ada', '', 'open', '', '2026-01-01', NULL
  FROM seq_1_to_3000;
INSERT INTO node_suspicions SELECT seq, seq, CONCAT('n', seq % 40), 'CRASH', 'c', 0,
  '2026-01-01' + INTERVAL seq MINUTE, '', NULL FROM seq_1_to_3000;
INSERT INTO job_efficiency_records (id, attempt, cluster, job_id, job_name, user, `partition`,
  attempt_idx, state, kind, cause, outcome, recovered, node_count, gpus, submitted_at, started_at,
  allocated_gpu_hours, goodput_gpu_hours, complete, updated_at)
  SELECT seq, seq, 'c', seq, 'train', CONCAT('u', seq % 50), 'p', 0, 'FAILED', '', '', '', 0, 1, 8,
  '2026-01-01', '2026-01-01' + INTERVAL seq MINUTE, 1, 1, 1, '2026-01-01' FROM seq_1_to_3000;
UPDATE anomalies SET detected_at = '2026-01-01' + INTERVAL id MINUTE;
ANALYZE TABLE requests, node_suspicions, job_efficiency_records, anomalies;
"""


async def test_no_question_of_a_page_reads_a_table_from_end_to_end(mysql: Schema) -> None:
    store = await Store.open(mysql.address())
    mysql.query(ROWS)
    mysql.query(MORE_ROWS)
    await store.close()
    reader = connect(mysql.address())
    for query in chain(*QUERIES.values()):
        steps = reader.all(Query(f"EXPLAIN {query.sql}", query.values))
        assert steps
        scanned = [
            step
            for step in steps
            if step["type"] in SCANS and not str(step["table"]).startswith("<")
        ]
        assert scanned == [], query.sql
    reader.close()


def test_every_question_is_looked_at() -> None:
    functions = inspect.getmembers(overview, inspect.isfunction)
    ours = {
        name
        for name, each in functions
        if each.__module__ == overview.__name__
        and inspect.signature(each).return_annotation == "Query"
    }
    assert {name for name in ours if not name.startswith("_")} == set(QUERIES)


@pytest.fixture
async def both(mysql: Schema) -> AsyncIterator[tuple[Store, Database]]:
    """MariaDB; SQLite is what every other test of the pages uses."""
    store, database = await Store.open(mysql.address()), Database(mysql.address())
    yield store, database
    await database.close()
    await store.close()


async def test_mariadb_answers_all_of_them(both: tuple[Store, Database]) -> None:
    store, database = both
    await verification(Teller(store, database), now() - timedelta(hours=3))
    for query in chain(*QUERIES.values()):
        await database.all(query)
    seek = Seek(since=now() - timedelta(days=1), until=now(), words="n2", outcome="recovered")
    (job,) = (await find_jobs(database, seek, 1)).jobs
    told = (await told_of(database, [job.id]))[job.id]
    assert [each.outcome for each in told] == [Outcome.RECOVERED, Outcome.COMPLETED]
    assert [each.total for each in told] == [1, 0]
    (week,) = await database.all(overview.causes_by_week(week_starts(now()), "ada"))
    assert (week["cause"], week["attempts"]) == ("segfault", 1)


async def test_a_job_that_is_requeued_without_end_takes_no_place_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "MOST_ATTEMPTS", 3)
    async with a_store(tmp_path) as (store, address):
        database = Database(address)
        teller, begin = Teller(store, database), now() - timedelta(hours=3)
        often, once = await teller.job("7", begin), await teller.job("8", begin)
        for idx in range(5):
            attempt = await teller.attempt(often, idx, begin + timedelta(minutes=idx))
        await teller.attempt(once, 0, begin)
        await teller.anomaly(attempt, begin, "x" * 1000)
        told = await told_of(database, [often.id, once.id])
        assert [each.attempt.idx for each in told[often.id]] == [2, 3, 4]
        assert [each.attempt.idx for each in told[once.id]] == [0]
        (seen,) = told[often.id][-1].anomalies
        assert seen.anomaly.finding.text == "x" * overview.SHOWN
        whole = await told_of(database, [often.id], around=True)
        assert whole[often.id][-1].anomalies[0].anomaly.finding.text == "x" * 1000
        await database.close()
