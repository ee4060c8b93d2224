"""What readers ask of the store, as plain SQL that SQLite and MySQL understand alike.

The service runs these through SQLAlchemy, the commands through the database's own driver: a
status command must not pay for SQLAlchemy's import. Columns whose names MySQL reserves are
written behind their table's name, where it needs no quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: The character after the underscore: between both lie the tasks of an array.
_BEHIND = "`"


@dataclass(frozen=True, slots=True)
class Query:
    """A SELECT with its ``:named`` values."""

    sql: str
    values: Mapping[str, object] = field(default_factory=dict)


def job_by_id(job_id: str, cluster: str | None = None) -> Query:
    """The newest submission that had this job id."""
    if cluster is None:
        return Query(
            "SELECT * FROM jobs WHERE job_id = :job_id ORDER BY first_submit_time DESC LIMIT 1",
            {"job_id": job_id},
        )
    return Query(
        "SELECT * FROM jobs WHERE job_id = :job_id AND cluster = :cluster"
        " ORDER BY first_submit_time DESC LIMIT 1",
        {"job_id": job_id, "cluster": cluster},
    )


def array_tasks(array_job_id: str) -> Query:
    """The tasks of an array that ajrd knows."""
    return Query(
        "SELECT * FROM jobs WHERE job_id > :first AND job_id < :behind ORDER BY id",
        {"first": f"{array_job_id}_", "behind": f"{array_job_id}{_BEHIND}"},
    )


def open_jobs(cluster: str) -> Query:
    """Every submission that was not seen to be over."""
    return Query("SELECT * FROM jobs WHERE cluster = :cluster AND closed = 0", {"cluster": cluster})


def recent_jobs(limit: int, user: str | None, partition: str | None) -> Query:
    """The newest jobs, newest first."""
    wanted = {name: value for name, value in (("user", user), ("partition", partition)) if value}
    where = f"WHERE {' AND '.join(f'jobs.{name} = :{name}' for name in wanted)} " if wanted else ""
    return Query(
        f"SELECT * FROM jobs {where}ORDER BY id DESC LIMIT :most",  # noqa: S608 -- names of columns
        {**wanted, "most": limit},
    )


def attempts_of(job: int) -> Query:
    """The attempts of a job in their order."""
    return Query("SELECT * FROM attempts WHERE job = :job ORDER BY idx", {"job": job})


def anomalies_of(attempt: int) -> Query:
    """The anomalies of an attempt in the order they were recorded."""
    return Query(
        "SELECT * FROM anomalies WHERE attempt = :attempt ORDER BY id", {"attempt": attempt}
    )


def decision_of(attempt: int) -> Query:
    """The decision on an attempt."""
    return Query("SELECT * FROM decisions WHERE attempt = :attempt", {"attempt": attempt})


def decisions_in(state: str) -> Query:
    """All decisions in one state."""
    return Query("SELECT * FROM decisions WHERE state = :state ORDER BY id", {"state": state})


def actions_of(decision: int) -> Query:
    """The actions of a decision in their order."""
    return Query(
        "SELECT * FROM actions WHERE decision = :decision ORDER BY id", {"decision": decision}
    )


def events_of(job: int, limit: int) -> Query:
    """The newest events of a job, newest first."""
    return Query(
        "SELECT * FROM events WHERE job = :job ORDER BY id DESC LIMIT :most",
        {"job": job, "most": limit},
    )


def sources_of(attempt: int) -> Query:
    """The log files of an attempt."""
    return Query(
        "SELECT * FROM log_positions WHERE attempt = :attempt ORDER BY id", {"attempt": attempt}
    )


def positions_at(path_digest: str) -> Query:
    """Every position ever kept for one path, newest first."""
    return Query(
        "SELECT * FROM log_positions WHERE path_digest = :digest ORDER BY id DESC LIMIT 16",
        {"digest": path_digest},
    )


def requeues_begun(job: int) -> Query:
    """How many requeues of a job ajrd has begun: commands that ran or may have run."""
    return Query(
        "SELECT COUNT(*) AS begun FROM actions"
        " JOIN decisions ON actions.decision = decisions.id"
        " JOIN attempts ON decisions.attempt = attempts.id"
        " WHERE attempts.job = :job AND actions.step = 'requeue_hold'"
        " AND actions.state IN ('claimed', 'done')",
        {"job": job},
    )


def failures_of(job: int) -> Query:
    """How far each attempt of a job got and what ended it, in their order."""
    return Query(
        "SELECT attempts.idx AS idx, COALESCE(MAX(decisions.cause), '') AS cause,"
        " (SELECT COUNT(*) FROM node_suspicions WHERE node_suspicions.attempt = attempts.id"
        " AND node_suspicions.excluded = 1) AS excluded,"
        " MAX(log_positions.progress_step) AS progress_step,"
        " COUNT(log_positions.progress_offset) AS progressed"
        " FROM attempts LEFT JOIN decisions ON decisions.attempt = attempts.id"
        " LEFT JOIN log_positions ON log_positions.attempt = attempts.id"
        " WHERE attempts.job = :job GROUP BY attempts.id, attempts.idx ORDER BY attempts.idx",
        {"job": job},
    )


def the_revision() -> Query:
    """What Alembic has written of the tables; databases from before it have no such table."""
    return Query("SELECT version_num FROM alembic_version")


def loki_cursor(name: str) -> Query:
    """How far a stretch of Loki was read."""
    return Query("SELECT * FROM loki_cursors WHERE loki_cursors.name = :name", {"name": name})


def the_lease() -> Query:
    """The row of whoever leads."""
    return Query("SELECT * FROM leases WHERE leases.name = 'leader'")
