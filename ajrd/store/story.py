"""The whole story of one job, in few queries, and no more of it than a page can bear."""

from __future__ import annotations

from ajrd.store.queries import Query

#: The newest attempts and events that are told; the anomalies of each attempt, the first ones.
ATTEMPTS, EVENTS, ANOMALIES = 50, 200, 100


def attempts(job: int) -> Query:
    """The newest attempts of a job, newest first, and one more than are told."""
    return Query(
        "SELECT * FROM attempts WHERE job = :job ORDER BY idx DESC LIMIT :most",
        {"job": job, "most": ATTEMPTS + 1},
    )


def anomalies(attempt: int) -> Query:
    """The first anomalies of an attempt, and one more than are told."""
    return Query(
        "SELECT * FROM anomalies WHERE attempt = :attempt ORDER BY id LIMIT :most",
        {"attempt": attempt, "most": ANOMALIES + 1},
    )


def decisions(job: int) -> Query:
    """The decisions on a job's attempts."""
    return Query(
        "SELECT decisions.* FROM attempts JOIN decisions ON decisions.attempt = attempts.id"
        " WHERE attempts.job = :job",
        {"job": job},
    )


def actions(job: int) -> Query:
    """The commands of all decisions on a job, in their order."""
    return Query(
        "SELECT actions.* FROM attempts JOIN decisions ON decisions.attempt = attempts.id"
        " JOIN actions ON actions.decision = decisions.id"
        " WHERE attempts.job = :job ORDER BY actions.id",
        {"job": job},
    )


def sources(job: int) -> Query:
    """The logs of all attempts of a job."""
    return Query(
        "SELECT log_positions.* FROM attempts"
        " JOIN log_positions ON log_positions.attempt = attempts.id"
        " WHERE attempts.job = :job ORDER BY log_positions.id LIMIT 1000",
        {"job": job},
    )
