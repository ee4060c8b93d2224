"""What hand-off, webhooks and the report ask is answered from indexes, however long the history."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from ajrd.store import handoffs, observed, outbox
from ajrd.store.driver import connect
from ajrd.store.handoffs import DrainState, ReportState, suspect
from ajrd.store.queries import Query
from ajrd.store.records import Suspicion
from ajrd.store.store import Store
from tests.database.many import history
from tests.database.server import Schema
from tests.outward.world import decided
from tests.unit.samples import at

SCANS = {"ALL", "index"}
ATTEMPTS = 20_000
MORE = """
INSERT INTO node_handoffs SELECT seq, seq, 'drained', '', 'answered', '', seq, '2026-01-01'
  FROM seq_1_to_20000;
INSERT INTO cursors SELECT CONCAT('webhook@', seq), seq, '2026-01-01' FROM seq_1_to_100;
UPDATE node_suspicions SET verdict = 'faulty', verdict_at = at WHERE id % 10 = 0;
UPDATE decisions SET state = 'observed' WHERE id % 50 = 0;
ANALYZE TABLE node_handoffs, cursors, node_suspicions, decisions;
"""


async def test_no_question_reads_a_table_from_end_to_end(mysql: Schema) -> None:
    await (await Store.open(mysql.address())).close()
    mysql.query(history(ATTEMPTS))
    mysql.query(MORE)
    reader = connect(mysql.address())
    newest = reader.all(Query("SELECT MAX(at) AS at FROM node_suspicions"))[0]["at"]
    recent = newest - timedelta(hours=1)
    rows = reader.all(observed.observed_since(recent - timedelta(days=2), 10))
    assert rows
    asked = [
        *(
            handoffs.unfinished(recent, 200, drain=drain, report=not drain)
            for drain in (False, True)
        ),
        handoffs.verdicts(recent),
        handoffs.last_drain(recent),
        handoffs.unreported(recent, 100),
        outbox.cursor("webhook@7"),
        outbox.behind(7, 200),
        outbox.behind(ATTEMPTS - 7, 200),
        outbox.suspicions_of([7, 8, 9]),
        outbox.given_up(newest - timedelta(hours=1), 100),
        observed.observed_since(recent, 10_000),
        observed.progress_of([7, 8, 9]),
        observed.resubmitted(rows[0], newest),
    ]
    for query in asked:
        steps = reader.all(Query(f"EXPLAIN {query.sql}", query.values))
        scanned = [dict(step) for step in steps if step["type"] in SCANS]
        assert scanned == [], query.sql
    reader.close()


async def test_a_hand_off_and_its_verdict_come_back_as_they_were(store: Store) -> None:
    await decided(store, at(0), suspects=[Suspicion("n1", "HARDWARE", "xid", True)])

    async def only() -> handoffs.Suspect:
        rows = await store.look_up(handoffs.unfinished(at(-9), 9, drain=True, report=True))
        assert len(rows) == 1
        return suspect(rows[0])

    one = await only()
    assert (one.drain, one.report, one.verdict) == (DrainState.OPEN, ReportState.OPEN, "")
    told = replace(one, report=ReportState.TOLD, reference="r/1", verdict="pending")
    await store.save_handoff(told, at(1), "node_reported", "n1")
    again = await only()
    assert (again.report, again.reference, again.key) == (ReportState.TOLD, "r/1", one.key)
    done = replace(
        again,
        drain=DrainState.DRAINED,
        report=ReportState.ANSWERED,
        verdict="faulty",
        verdict_at=at(2),
    )
    await store.save_handoff(done, at(2))
    left = await store.look_up(handoffs.unfinished(at(-9), 9, drain=True, report=True))
    assert list(left) == []
    given = list(handoffs.given(await store.look_up(handoffs.verdicts(at(-9)))))
    assert given == [handoffs.GivenVerdict("n1", "faulty", at(2))]


@pytest.mark.parametrize("name", ["webhook@a", "webhook@" + "x" * 40])
async def test_a_cursor_stays_where_it_was_put(store: Store, name: str) -> None:
    assert await store.cursor(name) is None
    for number in (5, 7, 7):
        await store.move_cursor(name, number, at(0))
        assert await store.cursor(name) == number
