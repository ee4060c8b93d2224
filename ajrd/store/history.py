"""Everything the store knows of one job, put together for people and for ``--json``."""

from __future__ import annotations

from dataclasses import dataclass

from ajrd.store.read import Reader
from ajrd.store.records import (
    AnomalyRecord,
    AttemptRecord,
    DecisionRecord,
    EventRecord,
    JobRecord,
    SourceRecord,
)


@dataclass(frozen=True, slots=True)
class AttemptHistory:
    """One attempt with its evidence, its logs and the decision on it."""

    attempt: AttemptRecord
    anomalies: list[AnomalyRecord]
    decision: DecisionRecord | None
    sources: list[SourceRecord]

    def deciding(self) -> AnomalyRecord | None:
        """The anomaly that the decision names, else the first one."""
        named = self.decision.anomaly if self.decision else None
        wanted = [record for record in self.anomalies if record.id == named]
        return next(iter(wanted or self.anomalies), None)


@dataclass(frozen=True, slots=True)
class JobHistory:
    """One submission with all its attempts."""

    job: JobRecord
    attempts: list[AttemptHistory]
    events: list[EventRecord]


def read_history(reader: Reader, job: JobRecord, events: int = 200) -> JobHistory:
    """Collects the history of one job."""
    attempts = [
        AttemptHistory(
            attempt,
            reader.anomalies(attempt.id),
            reader.decision(attempt.id),
            reader.sources(attempt.id),
        )
        for attempt in reader.attempts(job.id)
    ]
    return JobHistory(job, attempts, reader.events(job.id, events))
