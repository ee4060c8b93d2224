"""The milestones of attempts out of the store, and the records that are made of them.

A few queries answer for many attempts at once; a test has MariaDB explain each. This module is read
by commands too, so it knows nothing of SQLAlchemy; :mod:`ajrd.store.ledger` writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from ajrd.kpi.efficiency import Efficiency
from ajrd.kpi.milestones import Steps
from ajrd.store.queries import Query
from ajrd.store.rows import Row, moment, stored

#: A line this much older than the last progress was answered by it (ajrd.policy.evidence).
_ANSWERED = timedelta(seconds=1)
_PARTS = (
    "queued", "starting", "productive", "lost", "detection", "kill", "requeue_wait", "restart",
    "automatic_downtime", "manual_downtime", "manual_baseline", "saved",
)  # fmt: skip


#: ``:these`` stands for a list of values.
_ENDED = (
    "SELECT attempts.id AS attempt, attempts.job AS job, attempts.idx AS idx,"
    " attempts.state AS state, attempts.started_at AS started_at,"
    " attempts.ended_at AS ended_at, attempts.eligible_at AS eligible_at,"
    " attempts.node_count AS node_count, attempts.gpus AS gpus,"
    " jobs.cluster AS cluster, jobs.job_id AS job_id, jobs.name AS job_name,"
    " jobs.user AS job_user, jobs.partition AS job_partition,"
    " jobs.first_submit_time AS submit_time,"
    " decisions.verb AS verb, decisions.branch AS branch, decisions.state AS decision_state,"
    " decisions.outcome AS outcome, decisions.created_at AS decided_at,"
    " decisions.closed_at AS closed_at, decisions.cause AS cause,"
    " anomalies.kind AS kind, anomalies.detected_at AS detected_at"
    " FROM attempts JOIN jobs ON jobs.id = attempts.job"
    " LEFT JOIN decisions ON decisions.attempt = attempts.id"
    " LEFT JOIN anomalies ON anomalies.id = decisions.anomaly"
    " WHERE attempts.id IN (:these) AND attempts.ended_at IS NOT NULL"
)
_OF_JOBS = (
    "SELECT attempts.id AS id, attempts.job AS job, attempts.idx AS idx,"
    " attempts.started_at AS started_at, attempts.ended_at AS ended_at,"
    " attempts.eligible_at AS eligible_at FROM attempts"
    " WHERE attempts.job IN (:these) ORDER BY attempts.job, attempts.idx"
)
_PROGRESS = (
    "SELECT log_positions.attempt AS attempt, MIN(log_positions.first_progress_at) AS first_at,"
    " MAX(log_positions.progress_at) AS last_at, MIN(log_positions.first_step) AS first_step,"
    " MAX(log_positions.progress_step) AS last_step,"
    " SUM(log_positions.first_progress_at IS NULL) AS untimed FROM log_positions"
    " WHERE log_positions.attempt IN (:these)"
    " AND log_positions.progress_at IS NOT NULL GROUP BY log_positions.attempt"
)
_FAILURES = (
    "SELECT anomalies.attempt AS attempt, MIN(anomalies.detected_at) AS failed_at"
    " FROM anomalies WHERE anomalies.role IN ('root', 'cascade')"
    " AND anomalies.recovery <> 'none' AND (:these) GROUP BY anomalies.attempt"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficiencyRecord:
    """One attempt in ``job_efficiency_records``; ``parts`` are the columns that end in _seconds."""

    attempt: int
    cluster: str
    job_id: str
    job_name: str
    user: str
    partition: str
    attempt_idx: int
    state: str
    kind: str
    cause: str
    outcome: str
    node_count: int
    submitted_at: datetime
    eligible_at: datetime | None
    started_at: datetime
    failed_at: datetime | None
    ended_at: datetime | None
    parts: Efficiency

    def columns(self) -> dict[str, Any]:
        """As the table has it, without the number of the row and the time of writing."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "parts"}
        seconds = {f"{name}_seconds": getattr(self.parts, name) for name in _PARTS}
        names = ("allocated_gpu_hours", "goodput_gpu_hours", "recovered", "complete", "gpus")
        return own | seconds | {name: getattr(self.parts, name) for name in names}


@dataclass(frozen=True, slots=True)
class Accounted:
    """The times of one ended attempt as Slurm's accounting has them."""

    attempt: int
    started_at: datetime
    ended_at: datetime


def record(row: Row) -> EfficiencyRecord:
    """A row of ``job_efficiency_records``."""
    times = ("submitted_at", "eligible_at", "started_at", "failed_at", "ended_at")
    own = {f.name: row[f.name] for f in fields(EfficiencyRecord) if f.name != "parts"}
    parts = {name: row[f"{name}_seconds"] for name in _PARTS}
    flags = {name: bool(row[name]) for name in ("recovered", "complete")}
    names = ("allocated_gpu_hours", "goodput_gpu_hours", "gpus")
    values: dict[str, Any] = {name: row[name] for name in names} | parts | flags
    known: dict[str, Any] = own | {name: moment(row[name]) for name in times}
    return EfficiencyRecord(**known, parts=Efficiency(**values))


# what is to be reckoned


def newest_attempt() -> Query:
    """The largest number of an attempt."""
    return Query("SELECT MAX(attempts.id) AS newest FROM attempts")


def unfinished(after: int, upto: int) -> Query:
    """The attempts with numbers in (after, upto] that have no complete record, running or not."""
    return Query(
        "SELECT attempts.id AS id FROM attempts"
        " LEFT JOIN job_efficiency_records ON job_efficiency_records.attempt = attempts.id"
        " WHERE attempts.id > :after AND attempts.id <= :upto"
        " AND (job_efficiency_records.complete IS NULL OR job_efficiency_records.complete = 0)",
        {"after": after, "upto": upto},
    )


# milestones


def ended_attempts(attempts: Iterable[int]) -> Query:
    """Those of the attempts that are over, each with its job and the decision on it."""
    return Query(*_among(_ENDED, attempts))


def attempts_of_jobs(jobs: Iterable[int]) -> Query:
    """Every attempt of the jobs, in their order."""
    return Query(*_among(_OF_JOBS, jobs))


def progress_of(attempts: Iterable[int]) -> Query:
    """What the logs of each attempt told of its progress; attempts without any are left out.

    ``untimed`` counts the logs whose first progress was read by an ajrd that did not keep its time.
    """
    return Query(*_among(_PROGRESS, attempts))


def failures_since(progress: Mapping[int, datetime | None]) -> Query:
    """When the first fatal line was read that the last progress of its attempt does not answer."""
    values: dict[str, object] = {}
    parts = []
    for number, (attempt, last) in enumerate(progress.items()):
        values[f"a{number}"] = attempt
        own = f"anomalies.attempt = :a{number}"
        if last is not None:
            values[f"t{number}"] = stored(last - _ANSWERED)
            own += f" AND anomalies.detected_at >= :t{number}"
        parts.append(f"({own})")
    return Query(_FAILURES.replace(":these", " OR ".join(parts)), values)


def next_of_workflow(row: Row, submitted: datetime, until: datetime) -> Query:
    """The first attempt of the next job of this user and name that was submitted in between.

    ``row`` is one of :func:`ended_attempts`.
    """
    return Query(
        "SELECT attempts.id AS id, attempts.job AS job, attempts.idx AS idx,"
        " attempts.started_at AS started_at, attempts.ended_at AS ended_at,"
        " attempts.eligible_at AS eligible_at"
        " FROM jobs JOIN attempts ON attempts.job = jobs.id"
        " WHERE jobs.user = :user AND jobs.id > :job AND jobs.cluster = :cluster"
        " AND jobs.name = :name AND jobs.first_submit_time >= :submitted"
        " AND jobs.first_submit_time <= :until AND attempts.started_at >= :after"
        " ORDER BY jobs.id, attempts.idx LIMIT 1",
        {
            "user": row["job_user"],
            "job": row["job"],
            "cluster": row["cluster"],
            "name": row["job_name"],
            "submitted": stored(submitted),
            "until": stored(until),
            "after": row["started_at"],
        },
    )


def steps(row: Row) -> Steps:
    """A row of :func:`progress_of`."""
    first, last = moment(row["first_at"]), moment(row["last_at"])
    assert first is not None
    return Steps(
        first_at=first,
        last_at=last or first,
        first_step=row["first_step"],
        last_step=row["last_step"],
    )


# the records


def records_of_job(job_id: str, limit: int) -> Query:
    """The records of every job with this number, newest first."""
    return Query(
        "SELECT r.* FROM jobs JOIN attempts ON attempts.job = jobs.id"
        " JOIN job_efficiency_records r ON r.attempt = attempts.id"
        " WHERE jobs.job_id = :job_id ORDER BY r.started_at DESC LIMIT :most",
        {"job_id": job_id, "most": limit},
    )


def records_since(since: datetime, limit: int) -> Query:
    """The records of attempts that started since a moment, newest first."""
    return Query(
        "SELECT * FROM job_efficiency_records WHERE started_at >= :since"
        " ORDER BY started_at DESC LIMIT :most",
        {"since": stored(since), "most": limit},
    )


def ended_since(since: datetime) -> Query:
    """Attempts whose record says that they ended since a moment: for their accounting."""
    return Query(
        "SELECT r.attempt AS attempt, r.started_at AS started_at, r.ended_at AS ended_at,"
        " attempts.job AS job, jobs.raw_id AS raw_id"
        " FROM job_efficiency_records r JOIN attempts ON attempts.id = r.attempt"
        " JOIN jobs ON jobs.id = attempts.job WHERE r.ended_at >= :since ORDER BY r.ended_at",
        {"since": stored(since)},
    )


def _among(sql: str, numbers: Iterable[int]) -> tuple[str, dict[str, object]]:
    """The text with a list of names in place of ``:these``, and their values."""
    values: dict[str, object] = {f"n{i}": number for i, number in enumerate(numbers)}
    return sql.replace(":these", ", ".join(f":{name}" for name in values)), values
