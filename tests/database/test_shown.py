"""What the commands' lists ask, and suspected nodes, on both databases."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ajrd.model import DecisionState
from ajrd.recovery.sequence import STEPS
from ajrd.store import shown
from ajrd.store.address import Address
from ajrd.store.driver import connect
from ajrd.store.queries import Query
from ajrd.store.read import Reader
from ajrd.store.records import Suspicion
from ajrd.store.store import Store
from tests.database.samples import a_decision, a_job
from tests.database.server import Schema
from tests.database.test_queries import ROWS, SCANS
from tests.unit.samples import at

MORE_ROWS = """
UPDATE attempts SET started_at = '2026-01-01' + INTERVAL id MINUTE;
INSERT INTO requests SELECT seq, seq, 'pause', 'u', '', 'done', '', '2026-01-01', NULL
  FROM seq_1_to_3000;
INSERT INTO node_suspicions SELECT seq, seq, CONCAT('n', seq % 90), 'k', 'c', 0,
  '2026-01-01' + INTERVAL seq MINUTE, '', NULL FROM seq_1_to_3000;
ANALYZE TABLE attempts, requests, node_suspicions;
"""
BAD = [Suspicion("n1", "HARDWARE", "xid", True), Suspicion("n2", "HARDWARE", "xid", False)]


async def test_suspected_nodes_come_with_their_decision_or_not_at_all(
    store: Store, address: Address
) -> None:
    job, attempt = await a_job(store)
    steps = STEPS[a_decision(attempt).verb]
    await store.write_decision(a_decision(attempt), job, attempt, steps, BAD)
    again = await store.write_decision(a_decision(attempt), job, attempt, (), BAD)
    assert again is None
    reader = Reader(address)
    found = reader.select(shown.suspicions(at(0), 10))
    reader.close()
    told = [(row["node"], row["cause"], row["excluded"], row["at"]) for row in found]
    assert sorted(told) == [("n1", "xid", True, at(3)), ("n2", "xid", False, at(3))]


@pytest.mark.parametrize("known", [True, False], ids=["decided before", "never heard of"])
async def test_nodes_that_were_suspected_without_the_database_are_written_with_the_note(
    store: Store, address: Address, known: bool
) -> None:
    job, attempt = await a_job(store)
    if known:
        await store.write_decision(a_decision(attempt), job, attempt, (), BAD[:1])
    for _ in range(2):
        await store.import_decision(a_decision(attempt), job, attempt, BAD)
    reader = Reader(address)
    assert len(reader.select(shown.suspicions(at(0), 10))) == 2
    reader.close()


async def test_history_is_a_stretch_of_time_and_has_the_decisions(
    store: Store, address: Address
) -> None:
    job, attempt = await a_job(store)
    await store.write_decision(a_decision(attempt), job, attempt, ())
    reader = Reader(address)
    [row] = reader.select(shown.history(at(0), at(1), {"user": "ada"}, 10))
    assert (row["job_id"], row["verb"], row["decision_state"]) == (
        "7",
        "requeue",
        DecisionState.OPEN,
    )
    assert reader.select(shown.history(at(0) + timedelta(microseconds=1), None, {}, 10)) == []
    assert reader.select(shown.history(at(-9), at(0), {}, 10)) == []
    assert reader.select(shown.history(at(0), None, {"user": "bob"}, 10)) == []
    reader.close()


async def test_events_begin_behind_a_number(store: Store, address: Address) -> None:
    job, _ = await a_job(store)
    await store.log(at(9), "hello", "everybody")
    reader = Reader(address)
    everything = reader.select(shown.events_after(0, None, 10))
    assert [row["event"] for row in everything] == ["hello", "attempt_started", "job_seen"]
    assert [row["job_id"] for row in everything] == [None, "7", "7"]
    number = everything[-1]["id"]
    assert [r["event"] for r in reader.select(shown.events_after(number, job.id, 10))] == [
        "attempt_started"
    ]
    reader.close()


async def test_no_list_reads_a_table_from_end_to_end(mysql: Schema) -> None:
    store = await Store.open(mysql.address())
    mysql.query(ROWS)
    mysql.query(MORE_ROWS)
    await store.close()
    late = at(0) + timedelta(days=1)
    asked = [
        shown.history(late, None, {}, 100),
        shown.history(late, late + timedelta(hours=2), {"user": "u1"}, 100),
        shown.history(at(0), None, {"job_id": "7_1"}, 100),
        shown.events_after(2900, None, 100),
        shown.events_after(0, 7, 100),
        shown.suspicions(late, 100),
        shown.newest_requests(7, 20),
        shown.the_request(7),
    ]
    reader = connect(mysql.address())
    for query in asked:
        steps = reader.all(Query(f"EXPLAIN {query.sql}", query.values))
        scanned = [step for step in steps if step["type"] in SCANS]
        assert scanned == [], query.sql
    reader.close()
