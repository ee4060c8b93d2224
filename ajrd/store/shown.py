"""What the commands' lists ask of the store, as plain SQL for both databases.

Times go in as text in the form that both databases keep.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ajrd.store.queries import Query
from ajrd.store.rows import stored

_JOB = "jobs.job_id, jobs.name, jobs.user, jobs.partition"


def history(
    since: datetime, until: datetime | None, wanted: Mapping[str, str | None], limit: int
) -> Query:
    """The attempts that began in a stretch of time, newest first, each with its decision.

    ``wanted`` narrows by columns of the job: user, partition, job_id.
    """
    values: dict[str, object] = {"since": stored(since), "most": limit}
    where = ["attempts.started_at >= :since"]
    if until is not None:
        where.append("attempts.started_at < :until")
        values["until"] = stored(until)
    for column in (name for name in ("user", "partition", "job_id") if wanted.get(name)):
        where.append(f"jobs.{column} = :{column}")
        values[column] = wanted[column]
    return Query(
        f"SELECT attempts.*, {_JOB}, decisions.verb, decisions.branch, decisions.reason,"  # noqa: S608 -- names of columns
        " decisions.cause, decisions.state AS decision_state, decisions.outcome,"
        " decisions.exclude_nodes, anomalies.kind"
        " FROM attempts JOIN jobs ON jobs.id = attempts.job"
        " LEFT JOIN decisions ON decisions.attempt = attempts.id"
        " LEFT JOIN anomalies ON anomalies.id = decisions.anomaly"
        f" WHERE {' AND '.join(where)} ORDER BY attempts.started_at DESC, attempts.id DESC"
        " LIMIT :most",
        values,
    )


def events_after(number: int, job: int | None, limit: int) -> Query:
    """The newest events with a higher number, of one job (its row) or all, newest first."""
    mine = "" if job is None else " AND events.job = :job"
    values = {"number": number, "most": limit} | ({} if job is None else {"job": job})
    return Query(
        f"SELECT events.*, {_JOB} FROM events LEFT JOIN jobs ON jobs.id = events.job"  # noqa: S608 -- names of columns
        f" WHERE events.id > :number{mine} ORDER BY events.id DESC LIMIT :most",
        values,
    )


def suspicions(since: datetime, limit: int) -> Query:
    """Nodes that decisions have implicated since a moment, newest first."""
    return Query(
        f"SELECT node_suspicions.*, attempts.idx, {_JOB} FROM node_suspicions"  # noqa: S608 -- names of columns
        " JOIN attempts ON attempts.id = node_suspicions.attempt"
        " JOIN jobs ON jobs.id = attempts.job"
        " WHERE node_suspicions.at >= :since ORDER BY node_suspicions.at DESC LIMIT :most",
        {"since": stored(since), "most": limit},
    )


def newest_requests(job: int, limit: int) -> Query:
    """What was asked of a job (its row) last, newest first."""
    return Query(
        "SELECT * FROM requests WHERE requests.job = :job ORDER BY id DESC LIMIT :most",
        {"job": job, "most": limit},
    )


def the_request(number: int) -> Query:
    """One request."""
    return Query("SELECT * FROM requests WHERE id = :number", {"number": number})
