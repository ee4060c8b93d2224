"""Decisions of observe mode with what happened behind them; read by a command, without SQLAlchemy.

A test has MariaDB explain each query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from ajrd.kpi.agreement import Observed
from ajrd.model import Verb
from ajrd.store.queries import Query
from ajrd.store.rows import Row, moment, stored

#: Attempts that one query about progress names.
BATCH = 500


def observed_since(since: datetime, limit: int) -> Query:
    """The newest decisions that were only written down, each with its job's next attempt."""
    return Query(
        "SELECT decisions.verb AS verb, decisions.cause AS cause,"
        " decisions.created_at AS created_at, anomalies.kind AS kind,"
        " attempts.id AS attempt, attempts.idx AS idx, attempts.state AS state,"
        " attempts.ended_at AS ended_at, attempts.gpus AS gpus, n.started_at AS requeued_at,"
        " jobs.id AS job, jobs.job_id AS job_id, jobs.cluster AS cluster, jobs.name AS job_name,"
        " jobs.user AS job_user, jobs.partition AS job_partition"
        " FROM decisions JOIN attempts ON attempts.id = decisions.attempt"
        " JOIN jobs ON jobs.id = attempts.job"
        " LEFT JOIN attempts n ON n.job = attempts.job AND n.idx = attempts.idx + 1"
        " LEFT JOIN anomalies ON anomalies.id = decisions.anomaly"
        " WHERE decisions.state = 'observed' AND decisions.created_at >= :since"
        " ORDER BY decisions.id DESC LIMIT :most",
        {"since": stored(since), "most": limit},
    )


def progress_of(attempts: Sequence[int]) -> Query:
    """When each attempt was last seen to make progress."""
    values: dict[str, object] = {f"n{i}": number for i, number in enumerate(attempts)}
    names = ", ".join(f":{name}" for name in values)
    return Query(
        "SELECT log_positions.attempt AS attempt,"  # noqa: S608 -- names of values
        " MAX(log_positions.progress_at) AS progress_at FROM log_positions"
        f" WHERE log_positions.attempt IN ({names}) GROUP BY log_positions.attempt",
        values,
    )


def resubmitted(row: Row, until: datetime) -> Query:
    """When the next job of the same user and name was submitted, up to a moment."""
    decided = moment(row["created_at"])
    assert decided is not None
    return Query(
        "SELECT jobs.first_submit_time AS submitted_at FROM jobs"
        " WHERE jobs.user = :user AND jobs.id > :job AND jobs.name = :name"
        " AND jobs.cluster = :cluster AND jobs.first_submit_time >= :decided"
        " AND jobs.first_submit_time <= :until ORDER BY jobs.id LIMIT 1",
        {
            "user": row["job_user"],
            "job": row["job"],
            "name": row["job_name"],
            "cluster": row["cluster"],
            "decided": stored(decided),
            "until": stored(until),
        },
    )


def observed(
    ask: Callable[[Query], Sequence[Row]], since: datetime, within: timedelta, limit: int
) -> Iterator[Observed]:
    """The decisions since a moment, newest first; ``ask`` gives the rows of a query."""
    rows = ask(observed_since(since, limit))
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        found = ask(progress_of([row["attempt"] for row in batch]))
        progress = {row["attempt"]: moment(row["progress_at"]) for row in found}
        for row in batch:
            again = None if row["requeued_at"] else _resubmitted(ask, row, within)
            yield _observed(row, progress.get(row["attempt"]), again)


def _resubmitted(
    ask: Callable[[Query], Sequence[Row]], row: Row, within: timedelta
) -> datetime | None:
    decided = moment(row["created_at"])
    assert decided is not None
    found = ask(resubmitted(row, decided + within))
    return moment(found[0]["submitted_at"]) if found else None


def _observed(row: Row, progress_at: datetime | None, again: datetime | None) -> Observed:
    decided = moment(row["created_at"])
    assert decided is not None
    return Observed(
        job_id=row["job_id"],
        attempt=row["idx"],
        partition=row["job_partition"],
        verb=Verb(row["verb"]),
        kind=row["kind"] or "",
        cause=row["cause"],
        decided_at=decided,
        state=row["state"],
        gpus=row["gpus"],
        ended_at=moment(row["ended_at"]),
        progress_at=progress_at,
        requeued_at=moment(row["requeued_at"]),
        resubmitted_at=again,
    )
