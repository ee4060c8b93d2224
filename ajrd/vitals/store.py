"""A store that counts what is written into it, once it is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry

from ajrd.model import ActionState, Anomaly, DecisionState, Progress, ReadPosition, Step, Verb
from ajrd.store.engine import Database
from ajrd.store.records import (
    ActionRecord,
    AnomalyRecord,
    AttemptRecord,
    Cursor,
    DecisionRecord,
    JobRecord,
    News,
)
from ajrd.store.store import Store
from ajrd.vitals.counts import AGAIN, NOT_CARRIED_OUT, Counts

#: Anomalies whose time is remembered for the decision that they may bring.
MOST_TIMES = 10_000


class MeteredStore(Store):
    """A :class:`Store` with counts; what a lost answer to a commit hides is counted once or not."""

    def __init__(
        self, database: Database, checkpoint: Callable[[str], None] = lambda _moment: None
    ) -> None:
        super().__init__(database, checkpoint)
        self._counts = Counts(CollectorRegistry())
        self._read_at: dict[int, datetime] = {}

    def count_by(self, counts: Counts) -> None:
        """Whose counts these are from now on."""
        self._counts = counts
        self._database.meter = counts.transaction

    async def save_attempt(self, record: AttemptRecord, now: datetime, event: str) -> AttemptRecord:
        """Counts starts and ends."""
        saved = await super().save_attempt(record, now, event)
        if event == "attempt_started":
            self._counts.started.inc()
        elif event == "attempt_ended":
            self._counts.ended.labels(saved.state).inc()
        return saved

    async def record_evidence(
        self,
        attempt: AttemptRecord,
        seen: Sequence[Anomaly],
        position: ReadPosition | None,
        progress: Progress | None,
        now: datetime,
    ) -> list[AnomalyRecord]:
        """Counts what is new."""
        kept = await super().record_evidence(attempt, seen, position, progress, now)
        self._count_anomalies(kept)
        return kept

    async def record_sweep(
        self, cursor: Cursor | None, news: Sequence[News], now: datetime
    ) -> list[AnomalyRecord]:
        """Counts what is new."""
        kept = await super().record_sweep(cursor, news, now)
        self._count_anomalies(kept)
        return kept

    async def write_decision(
        self,
        record: DecisionRecord,
        job: JobRecord,
        attempt: AttemptRecord,
        steps: Sequence[Step],
        *besides: Any,
        **named: Any,
    ) -> DecisionRecord | None:
        """Counts decisions, and how they ended where nothing is to be carried out.

        What is written ``besides`` counts nothing.
        """
        written = await super().write_decision(record, job, attempt, steps, *besides, **named)
        if written is not None:
            self._count_decision(written)
            if (read_at := self._time_of(written)) is not None:
                self._counts.deciding.observe(_seconds(read_at, written.created_at))
            if written.state is not DecisionState.OPEN:
                outcome = written.outcome or NOT_CARRIED_OUT
                self._count_end(written.verb, written.state, outcome)
        return written

    async def claim(self, action: ActionRecord, now: datetime, target: str) -> None:
        """Counts second tries."""
        await super().claim(action, now, target)
        if action.tries:
            self._counts.retries.labels(action.step.value).inc()

    async def finish(
        self,
        action: ActionRecord,
        attempt: AttemptRecord,
        state: ActionState,
        result: str,
        now: datetime,
    ) -> None:
        """Counts what came of a command."""
        await super().finish(action, attempt, state, result, now)
        self._count_action(action.step, state)

    async def close_decision(
        self,
        record: DecisionRecord,
        attempt: AttemptRecord,
        state: DecisionState,
        outcome: str,
        detail: str,
        now: datetime,
    ) -> None:
        """Counts how decisions end, and how long those took that brought a job back."""
        await super().close_decision(record, attempt, state, outcome, detail, now)
        self._count_end(record.verb, state, outcome)
        if record.verb is Verb.REQUEUE and state is DecisionState.CONVERGED:
            self._observe_phases(record, now)

    async def import_decision(
        self,
        note: DecisionRecord,
        job: JobRecord,
        attempt: AttemptRecord,
        *besides: Any,
        **named: Any,
    ) -> None:
        """Counts what was done without the database."""
        await super().import_decision(note, job, attempt, *besides, **named)
        self._counts.degraded.inc()
        if note.id <= 0:
            self._count_decision(note)
        self._count_end(note.verb, note.state, str(note.outcome))
        for action in note.actions:
            self._count_action(action.step, action.state)

    def _count_anomalies(self, kept: Iterable[AnomalyRecord]) -> None:
        for record in kept:
            if record.new:
                finding = record.anomaly.finding
                self._counts.anomalies.labels(finding.kind.value, finding.role.value).inc()
                self._read_at[record.id] = record.anomaly.detected_at
        while len(self._read_at) > MOST_TIMES:
            del self._read_at[next(iter(self._read_at))]

    def _count_decision(self, record: DecisionRecord) -> None:
        self._counts.decisions.labels(record.verb.value, record.branch).inc()

    def _count_end(self, verb: Verb, state: DecisionState, outcome: str) -> None:
        self._counts.recoveries.labels(verb.value, state.value, str(outcome)).inc()

    def _count_action(self, step: Step, state: ActionState) -> None:
        again = state in (ActionState.INTENDED, ActionState.CLAIMED)
        self._counts.actions.labels(step.value, AGAIN if again else state.value).inc()

    def _time_of(self, record: DecisionRecord) -> datetime | None:
        """When the line that decided was read, unless an earlier process has read it."""
        return None if record.anomaly is None else self._read_at.get(record.anomaly)

    def _observe_phases(self, record: DecisionRecord, running: datetime) -> None:
        """The update is the first thing that is done once the processes are gone."""
        killed = next((a.claimed_at for a in record.actions if a.step is Step.UPDATE), None)
        if killed is None:
            return
        self._counts.killing.observe(_seconds(record.created_at, killed))
        self._counts.restarting.observe(_seconds(killed, running))
        if (read_at := self._time_of(record)) is not None:
            self._counts.recovering.observe(_seconds(read_at, running))


def _seconds(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0)
