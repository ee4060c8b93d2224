"""Every query is answered from an index, however long the history is."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from itertools import chain

from sqlalchemy import Select
from sqlalchemy.dialects import mysql as mysql_dialect

from ajrd.store import pruning, queries
from ajrd.store.driver import connect
from ajrd.store.queries import Query
from ajrd.store.store import Store
from tests.database.server import Schema
from tests.unit.samples import at

#: A table of one row.
ONE_ROW = queries.the_revision()
#: The newest jobs of everybody: the one query that goes along an index, for as long as its limit.
NEWEST = queries.recent_jobs(10, None, None)
#: What EXPLAIN calls reading a whole table or a whole index.
SCANS = {"ALL", "index"}
#: Each function of :mod:`ajrd.store.queries` as it is called.
QUERIES = {
    "job_by_id": [queries.job_by_id("7"), queries.job_by_id("7", "c")],
    "array_tasks": [queries.array_tasks("7")],
    "open_jobs": [queries.open_jobs("c")],
    "recent_jobs": [
        NEWEST,
        queries.recent_jobs(10, "u1", None),
        queries.recent_jobs(10, None, "p1"),
        queries.recent_jobs(10, "u1", "p1"),
    ],
    "attempts_of": [queries.attempts_of(7)],
    "anomalies_of": [queries.anomalies_of(7)],
    "decision_of": [queries.decision_of(7)],
    "decisions_in": [queries.decisions_in("open")],
    "actions_of": [queries.actions_of(7)],
    "events_of": [queries.events_of(7, 100)],
    "sources_of": [queries.sources_of(7)],
    "positions_at": [queries.positions_at("d7")],
    "requeues_begun": [queries.requeues_begun(7)],
    "failures_of": [queries.failures_of(7)],
    "loki_cursor": [queries.loki_cursor("t7")],
    "the_lease": [queries.the_lease()],
    "the_revision": [ONE_ROW],
}
#: 3,000 jobs of 50 users, one attempt each; one in a hundred is open.
ROWS = """
INSERT INTO jobs SELECT seq, 'c', CONCAT(seq, '_1'), seq, '2026-01-01' + INTERVAL seq MINUTE,
  '2026-01-01', 'train', CONCAT('u', seq % 50), 1000, CONCAT('p', seq % 20), '', 1, '', 0, 0,
  'RUNNING', '', seq % 100 <> 0, '2026-01-01' + INTERVAL seq MINUTE, 0 FROM seq_1_to_3000;
INSERT INTO attempts SELECT seq, seq, 0, 'RUNNING', 'n1', '2026-01-01', NULL, 0, 0, '', NULL, 1, 1,
  1
  FROM seq_1_to_3000;
INSERT INTO anomalies SELECT seq, seq, 'r', 'CRASH', 'c', 'root', 'requeue', 's', 0, 0, 't', '[]',
  '[]', '{}', '2026-01-01', seq, seq FROM seq_1_to_3000;
INSERT INTO decisions SELECT seq, seq, seq, 'requeue', 'b', 'r', '',
  IF(seq % 100, 'converged', 'open'), '', '', NULL, '2026-01-01', NULL, 0, 0, 0, 0, ''
  FROM seq_1_to_3000;
INSERT INTO actions SELECT seq, seq, 'requeue_hold', seq, 't', 'done', 1, '', '2026-01-01', NULL,
  NULL, 0 FROM seq_1_to_3000;
INSERT INTO events SELECT seq, '2026-01-01' + INTERVAL seq MINUTE, IF(seq % 10, seq, NULL), 0, 'e',
  'm' FROM seq_1_to_3000;
INSERT INTO log_positions SELECT seq, seq, 'p', CONCAT('d', seq), 0, 0, 0, 0, 't', NULL, NULL, NULL,
  '2026-01-01', NULL, NULL, NULL FROM seq_1_to_3000;
INSERT INTO loki_cursors SELECT CONCAT('t', seq), seq, '2026-01-01' FROM seq_1_to_3000;
INSERT INTO leases VALUES ('leader', '', '', 0, 0, '2026-01-01', '2026-01-01', '2026-01-01');
ANALYZE TABLE jobs, attempts, anomalies, decisions, actions, events, log_positions, leases,
  loki_cursors;
"""
#: A suspected node for each of them.
SUSPECTED = """
INSERT INTO node_suspicions SELECT seq, seq, CONCAT('n', seq % 60), 'HARDWARE', 'xid', 1,
  '2026-01-01', '', NULL FROM seq_1_to_3000;
ANALYZE TABLE node_suspicions;
"""


def compiled(statements: Iterable[Select[tuple[int]]]) -> list[Query]:
    """With their values in the text, where no colon may stand: it would begin a name."""
    dialect = mysql_dialect.dialect()
    literal = {"literal_binds": True}
    texts = (str(each.compile(dialect=dialect, compile_kwargs=literal)) for each in statements)
    return [Query(text.replace(":00", "")) for text in texts]


async def test_no_query_reads_a_table_from_end_to_end(mysql: Schema) -> None:
    store = await Store.open(mysql.address())
    mysql.query(ROWS)
    mysql.query(SUSPECTED)
    await store.close()
    old = compiled([pruning.prunable_jobs(at(0)), pruning.prunable_events(at(0))])
    reader = connect(mysql.address())
    for query in [*chain(*QUERIES.values()), *old]:
        steps = reader.all(Query(f"EXPLAIN {query.sql}", query.values))
        assert steps
        scanned = [step for step in steps if step["type"] in SCANS]
        assert scanned == [] or query in (NEWEST, ONE_ROW), query.sql
    reader.close()


def test_every_query_is_looked_at() -> None:
    functions = inspect.getmembers(queries, inspect.isfunction)
    ours = {name for name, each in functions if each.__module__ == queries.__name__}
    assert ours == set(QUERIES)
