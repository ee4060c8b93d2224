"""What readers ask of the store, as SQLAlchemy statements: for the service and the commands."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, func, select

from ajrd.store.schema import actions, anomalies, attempts, decisions, events, jobs, log_positions

Query = Select[Any]


def job_by_id(job_id: str, cluster: str | None = None) -> Query:
    """The newest submission that had this job id."""
    query = select(jobs).where(jobs.c.job_id == job_id)
    if cluster is not None:
        query = query.where(jobs.c.cluster == cluster)
    return query.order_by(jobs.c.first_submit_time.desc()).limit(1)


def array_tasks(array_job_id: str) -> Query:
    """The tasks of an array that ajrd knows."""
    like = jobs.c.job_id.like(array_job_id.replace("_", "") + "\\_%", escape="\\")
    return select(jobs).where(like).order_by(jobs.c.id)


def open_jobs(cluster: str) -> Query:
    """Every submission that was not seen to be over."""
    return select(jobs).where(jobs.c.cluster == cluster, jobs.c.closed.is_(False))


def recent_jobs(limit: int, user: str | None, partition: str | None) -> Query:
    """The newest jobs, newest first."""
    query = select(jobs).order_by(jobs.c.id.desc()).limit(limit)
    if user is not None:
        query = query.where(jobs.c.user == user)
    if partition is not None:
        query = query.where(jobs.c.partition == partition)
    return query


def attempts_of(job: int) -> Query:
    """The attempts of a job in their order."""
    return select(attempts).where(attempts.c.job == job).order_by(attempts.c.idx)


def anomalies_of(attempt: int) -> Query:
    """The anomalies of an attempt in the order they were recorded."""
    return select(anomalies).where(anomalies.c.attempt == attempt).order_by(anomalies.c.id)


def decision_of(attempt: int) -> Query:
    """The decision on an attempt."""
    return select(decisions).where(decisions.c.attempt == attempt)


def decisions_in(state: str) -> Query:
    """All decisions in one state."""
    return select(decisions).where(decisions.c.state == state).order_by(decisions.c.id)


def actions_of(decision: int) -> Query:
    """The actions of a decision in their order."""
    return select(actions).where(actions.c.decision == decision).order_by(actions.c.id)


def events_of(job: int, limit: int) -> Query:
    """The newest events of a job, newest first."""
    return select(events).where(events.c.job == job).order_by(events.c.id.desc()).limit(limit)


def sources_of(attempt: int) -> Query:
    """The log files of an attempt."""
    where = log_positions.c.attempt == attempt
    return select(log_positions).where(where).order_by(log_positions.c.id)


def positions_at(path_digest: str) -> Query:
    """Every position ever kept for one path, newest first."""
    where = log_positions.c.path_digest == path_digest
    return select(log_positions).where(where).order_by(log_positions.c.id.desc()).limit(16)


def requeues_begun(job: int) -> Query:
    """How many requeues of a job ajrd has begun: commands that ran or may have run."""
    return (
        select(func.count())
        .select_from(actions.join(decisions).join(attempts))
        .where(
            attempts.c.job == job,
            actions.c.step == "requeue_hold",
            actions.c.state.in_(("claimed", "done")),
        )
    )
