"""The reading side for commands: no event loop, no writing, no waiting for the service."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ajrd.store import efficiency, queries, rows, shown
from ajrd.store.address import Address
from ajrd.store.driver import connect
from ajrd.store.efficiency import EfficiencyRecord
from ajrd.store.records import (
    AnomalyRecord,
    AttemptRecord,
    DecisionRecord,
    EventRecord,
    JobRecord,
    LeaseRecord,
    RequestRecord,
    SourceRecord,
)


class Reader:
    """One read-only look into the store; raises StoreUnavailable from every call."""

    def __init__(self, where: str | Address) -> None:
        self._db = connect(Address.of(where))

    def close(self) -> None:
        """Lets go of the connection."""
        self._db.close()

    def _all(self, query: queries.Query) -> Sequence[rows.Row]:
        return self._db.all(query)

    def select(self, query: queries.Query) -> list[rows.Row]:
        """The rows of a query, their columns read as everywhere."""
        return [rows.plain(row) for row in self._all(query)]

    def requests(self, job: int, limit: int = 20) -> list[RequestRecord]:
        """What was asked of a job last, oldest first."""
        return [rows.request(row) for row in self._all(shown.newest_requests(job, limit))][::-1]

    def request(self, number: int) -> RequestRecord:
        """One request that was asked."""
        return rows.request(self._all(shown.the_request(number))[0])

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

    def efficiency_of(self, job_id: str, limit: int) -> list[EfficiencyRecord]:
        """The efficiency of every attempt of the jobs that had this id, oldest first."""
        found = self._all(efficiency.records_of_job(job_id, limit))
        return [efficiency.record(row) for row in found][::-1]

    def efficiency_since(self, since: datetime, limit: int) -> list[EfficiencyRecord]:
        """The efficiency of the attempts that started since a moment, newest first."""
        found = self._all(efficiency.records_since(since, limit))
        return [efficiency.record(row) for row in found]

    def revision(self) -> str:
        """The revision of the tables; "" if there are none, or only those from before Alembic."""
        if "alembic_version" not in self._db.tables():
            return ""
        found = self._all(queries.the_revision())
        return str(found[0]["version_num"]) if found else ""

    def now(self) -> datetime:
        """The clock by which leases begin and end."""
        return self._db.now()

    def lease(self) -> LeaseRecord | None:
        """Who leads, or who did last; None if nobody ever has."""
        if "leases" not in self._db.tables():
            return None
        found = self._all(queries.the_lease())
        return rows.lease(found[0]) if found else None
