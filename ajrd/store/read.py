"""The reading side for commands: no event loop, no writing, no waiting for the service."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from ajrd.errors import StoreUnavailable
from ajrd.store import queries, rows
from ajrd.store.records import (
    AnomalyRecord,
    AttemptRecord,
    DecisionRecord,
    EventRecord,
    JobRecord,
    SourceRecord,
)

_SQLITE = "sqlite:///"


class Reader:
    """One read-only look into the store; raises StoreUnavailable from every call."""

    def __init__(self, url: str) -> None:
        path = Path(url.removeprefix(_SQLITE))
        if not path.exists():
            raise StoreUnavailable(
                f"there is no database at {path}: has the service (ajrd run) been started with"
                " this configuration?"
            )
        try:
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot open the database {path}: {error}") from None
        self._db.row_factory = sqlite3.Row

    def close(self) -> None:
        """Lets go of the connection."""
        self._db.close()

    def _all(self, query: queries.Query) -> Sequence[rows.Row]:
        try:
            return [dict(row) for row in self._db.execute(query.sql, dict(query.values))]
        except sqlite3.Error as error:
            raise StoreUnavailable(f"cannot read the database: {error}") from None

    def job(self, job_id: str) -> JobRecord | None:
        """The newest submission with this id."""
        found = self._all(queries.job_by_id(job_id))
        return rows.job(found[0]) if found else None

    def array_tasks(self, array_job_id: str) -> list[JobRecord]:
        """The known tasks of an array job."""
        return [rows.job(row) for row in self._all(queries.array_tasks(array_job_id))]

    def recent_jobs(self, limit: int, user: str | None, partition: str | None) -> list[JobRecord]:
        """The newest jobs, newest first."""
        return [rows.job(row) for row in self._all(queries.recent_jobs(limit, user, partition))]

    def attempts(self, job: int) -> list[AttemptRecord]:
        """The attempts of a job."""
        return [rows.attempt(row) for row in self._all(queries.attempts_of(job))]

    def anomalies(self, attempt: int) -> list[AnomalyRecord]:
        """The anomalies of an attempt."""
        return [rows.anomaly(row) for row in self._all(queries.anomalies_of(attempt))]

    def decision(self, attempt: int) -> DecisionRecord | None:
        """The decision on an attempt with its actions."""
        found = self._all(queries.decision_of(attempt))
        if not found:
            return None
        taken = self._all(queries.actions_of(found[0]["id"]))
        return rows.decision(found[0], tuple(rows.action(row) for row in taken))

    def sources(self, attempt: int) -> list[SourceRecord]:
        """The log files of an attempt."""
        return [rows.source(row) for row in self._all(queries.sources_of(attempt))]

    def events(self, job: int, limit: int) -> list[EventRecord]:
        """The newest events of a job, oldest first."""
        return [rows.event(row) for row in self._all(queries.events_of(job, limit))][::-1]
