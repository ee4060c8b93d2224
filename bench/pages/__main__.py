"""Times each page over 100,000 attempts in a private MariaDB: ``python -m bench.pages [ATTEMPTS]``.

The history is laid out twice: over 90 days, and all of it within the last day, which is the worst
that the first page can meet. The figures are of one request at a time, the server's work alone.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from aiohttp.test_utils import TestClient, TestServer

from ajrd.store.engine import Database
from ajrd.store.store import Store
from tests.database.server import Schema, Server, a_schema
from tests.web.place import Place

PAGES = (
    "/",
    "/?range=7d",
    "/?view=table",
    "/?user=u7",
    "/?outcome=recovered",
    "/?q=train-3",
    "/?q=n17",
    "/?page=3",
    "/jobs/50000",
    "/nodes",
    "/anomalies",
    "/efficiency",
)
#: Two attempts a job, an anomaly, a decision and four actions in the first; 1 % is not over.
ROWS = """
SET unique_checks = 0, foreign_key_checks = 0;
INSERT INTO jobs SELECT seq, 'c', seq, seq, {at}, {at}, CONCAT('train-', seq % 40),
  CONCAT('u', seq % 50), 1000, CONCAT('p', seq % 8),
  '{{"APS": {{"auto_resume_mode": "requeue", "max_requeue_times": 3}}}}', 1, '', 1, 0,
  IF(seq % 100, 'COMPLETED', 'RUNNING'), '', seq % 100 <> 0, {at} + INTERVAL 40 MINUTE, 0
  FROM seq_1_to_{jobs};
INSERT INTO attempts SELECT 2 * seq - 1, seq, 0, 'REQUEUED',
  CONCAT('n[', seq % 90, '-', seq % 90 + 3, ']'), {at}, {at} + INTERVAL 15 MINUTE, 0, 0, '', NULL,
  4, 256, 32 FROM seq_1_to_{jobs};
INSERT INTO attempts SELECT 2 * seq, seq, 1, IF(seq % 100, 'COMPLETED', 'RUNNING'),
  CONCAT('n[', seq % 90, '-', seq % 90 + 3, ']'), {at} + INTERVAL 16 MINUTE,
  IF(seq % 100, {at} + INTERVAL 40 MINUTE, NULL), 0, 0, '', NULL, 4, 256, 32 FROM seq_1_to_{jobs};
INSERT INTO anomalies SELECT seq, 2 * seq - 1, 'crash.segfault', 'CRASH',
  ELT(1 + seq % 5, 'segfault', 'xid', 'ib_network', 'oom_gpu', 'storage'), 'root', 'requeue',
  CONCAT('/w/', seq, '.out'), 100, 10, 'Rank0: (1) segmentation fault', '["a", "b"]', '["c"]',
  CONCAT('{{"node": "n', seq % 90, '", "rank": "0"}}'), {at} + INTERVAL 14 MINUTE, seq, NULL
  FROM seq_1_to_{jobs};
INSERT INTO decisions SELECT seq, 2 * seq - 1, seq, 'requeue', 'requeue', 'CRASH: requeue 1 of 3',
  '', 'converged', 'successor_started', '', NULL, {at} + INTERVAL 14 MINUTE, NULL, 1, 0, 1, 0,
  'segfault' FROM seq_1_to_{jobs};
INSERT INTO actions SELECT NULL, seq, step, CONCAT(seq, step), seq, 'done', 1, 'scontrol', {at},
  {at} + INTERVAL 14 MINUTE, {at} + INTERVAL 15 MINUTE, 1 FROM seq_1_to_{jobs},
  (SELECT 'announce' AS step UNION SELECT 'requeue_hold' UNION SELECT 'update'
   UNION SELECT 'release') AS steps;
INSERT INTO job_efficiency_records (attempt, cluster, job_id, job_name, user, `partition`,
  attempt_idx, state, kind, cause, outcome, recovered, node_count, gpus, submitted_at, started_at,
  productive_seconds, lost_seconds, saved_seconds, allocated_gpu_hours, goodput_gpu_hours, complete,
  updated_at) SELECT seq, 'c', seq, 'train', CONCAT('u', seq % 50), 'p', 0, 'COMPLETED', '', '', '',
  seq % 2, 4, 32, {at}, {at}, 900, 90, 1800, 8, 7, 1, {at} FROM seq_1_to_{attempts};
ANALYZE TABLE jobs, attempts, anomalies, decisions, actions, job_efficiency_records;
"""


def fill(schema: Schema, attempts: int, minutes: int) -> None:
    """A history that ends now and began so many minutes ago."""
    jobs = attempts // 2
    at = f"UTC_TIMESTAMP(6) - INTERVAL {minutes} * 60 * ({jobs} - seq % {jobs}) / {jobs} SECOND"
    at = f"({at} - INTERVAL 41 MINUTE)"
    schema.query(ROWS.format(at=at, jobs=jobs, attempts=attempts))


async def timed(schema: Schema, rounds: int = 7) -> dict[str, list[float]]:
    """Milliseconds of each page, the first round left out."""
    times: dict[str, list[float]] = {path: [] for path in PAGES}
    store, database = await Store.open(schema.address()), Database(schema.address())
    async with TestClient(TestServer(Place(store, database).application())) as client:
        for _ in range(rounds + 1):
            for path in PAGES:
                begun = time.perf_counter()
                response = await client.get(path)
                await response.read()
                assert response.status == 200, (path, response.status)
                times[path].append(1000 * (time.perf_counter() - begun))
    await database.close()
    await store.close()
    return {path: its[1:] for path, its in times.items()}


async def main(attempts: int) -> None:
    """Both layouts."""
    with tempfile.TemporaryDirectory(prefix="ajrd-bench-") as folder:
        server = Server(Path(folder))
        try:
            for title, minutes in (("over 90 days", 129_600), ("within a day", 1_400)):
                schema = a_schema(server, Path(folder))
                await (await Store.open(schema.address())).close()
                fill(schema, attempts, minutes)
                sys.stdout.write(f"{attempts:,} attempts {title}\n")
                for path, its in (await timed(schema)).items():
                    middle, worst = statistics.median(its), max(its)
                    sys.stdout.write(f"  {path:24} {middle:7.0f} ms  worst {worst:7.0f} ms\n")
        finally:
            server.daemon.end()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000))
