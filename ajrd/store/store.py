"""The writing side of the store: every method is one transaction.

Either all of a transaction is kept or nothing; a database that cannot be reached or is full
raises :class:`~ajrd.errors.StoreUnavailable`, and the caller keeps what it has and tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy import event as sa_event
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ajrd.errors import StoreUnavailable
from ajrd.model import ActionState, Anomaly, DecisionState, Progress, ReadPosition, Step
from ajrd.store import queries, rows
from ajrd.store.records import (
    ActionRecord,
    AnomalyRecord,
    AttemptRecord,
    DecisionRecord,
    JobRecord,
    SourceRecord,
)
from ajrd.store.schema import (
    SCHEMA_VERSION,
    actions,
    anomalies,
    attempts,
    decisions,
    events,
    jobs,
    log_positions,
    metadata,
    schema_info,
)


class Store:
    """One database. Made by :meth:`open`, ended by :meth:`close`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._one_writer = asyncio.Lock()

    @classmethod
    async def open(cls, url: str, now: datetime) -> Store:
        """Connects, and makes the tables where there are none."""
        engine = create_async_engine(url, pool_size=2, max_overflow=0, pool_pre_ping=True)
        if engine.dialect.name == "sqlite":
            sa_event.listen(engine.sync_engine, "connect", _sqlite_settings)
        store = cls(engine)
        try:
            await store._create(now)
        except StoreUnavailable:
            await engine.dispose()
            raise
        return store

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._engine.dispose()

    async def _create(self, now: datetime) -> None:
        async with self._transaction("making the tables") as db:
            await db.run_sync(metadata.create_all)
            found = (await db.execute(select(schema_info.c.version))).scalar()
            if found is None:
                values = {"version": SCHEMA_VERSION, "created_at": now}
                await db.execute(insert(schema_info).values(values))
            elif found != SCHEMA_VERSION:
                raise StoreUnavailable(
                    f"the database has schema version {found}, this ajrd needs {SCHEMA_VERSION}:"
                    " use the ajrd that made it, or point `database.url` at a new database"
                )

    @asynccontextmanager
    async def _transaction(self, doing: str) -> AsyncIterator[AsyncConnection]:
        async with self._one_writer:
            try:
                async with self._engine.begin() as db:
                    yield db
            except (SQLAlchemyError, OSError) as error:
                raise StoreUnavailable(
                    f"the database failed while {doing}: {_why(error)}"
                ) from error

    async def _all(self, query: queries.Query) -> Sequence[rows.Row]:
        try:
            async with self._engine.connect() as db:
                found = await db.execute(text(query.sql), query.values)
                return [dict(row) for row in found.mappings()]
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailable(f"the database failed while reading: {_why(error)}") from error

    # jobs and attempts

    async def open_jobs(self, cluster: str) -> list[JobRecord]:
        """Submissions not yet seen to be over."""
        return [rows.job(row) for row in await self._all(queries.open_jobs(cluster))]

    async def latest_job(self, cluster: str, job_id: str) -> JobRecord | None:
        """The newest submission with this id, over or not."""
        found = await self._all(queries.job_by_id(job_id, cluster))
        return rows.job(found[0]) if found else None

    async def add_job(self, record: JobRecord, message: str) -> JobRecord:
        """Keeps a new submission; ``record.id`` is ignored."""
        values = asdict(record)
        del values["id"]
        async with self._transaction(f"recording job {record.job_id}") as db:
            new = await _insert(db, jobs, values)
            await _log(db, record.seen_at, new, None, "job_seen", message)
        return replace(record, id=new)

    async def save_job(self, record: JobRecord, changes: Iterable[tuple[str, str]] = ()) -> None:
        """Writes a submission as it now stands, with (event, message) pairs for the trail."""
        values = asdict(record)
        del values["id"]
        async with self._transaction(f"updating job {record.job_id}") as db:
            await db.execute(update(jobs).where(jobs.c.id == record.id).values(values))
            for event, message in changes:
                await _log(db, record.seen_at, record.id, None, event, message)

    async def attempts(self, job: int) -> list[AttemptRecord]:
        """The attempts of a job in their order."""
        return [rows.attempt(row) for row in await self._all(queries.attempts_of(job))]

    async def save_attempt(self, record: AttemptRecord, now: datetime, event: str) -> AttemptRecord:
        """Keeps a new attempt (id 0) or writes a known one as it now stands.

        ``log_note`` of a known attempt stays as :meth:`note_logs` has left it.
        """
        values = asdict(record)
        del values["id"]
        async with self._transaction(f"recording attempt {record.idx}") as db:
            if record.id:
                del values["log_note"]
                await db.execute(update(attempts).where(attempts.c.id == record.id).values(values))
            else:
                record = replace(record, id=await _insert(db, attempts, values))
            where = f" on {record.nodes}" if record.nodes else ""
            message = f"attempt {record.idx} {record.state}{where}"
            await _log(db, now, record.job, record.idx, event, message)
        return record

    async def note_logs(self, attempt: int, note: str) -> None:
        """What should be known of an attempt's logs: what cannot be read, and why."""
        async with self._transaction("noting the state of logs") as db:
            mine = attempts.c.id == attempt
            await db.execute(update(attempts).where(mine).values(log_note=note[:4000]))

    # evidence

    async def record_evidence(
        self,
        attempt: AttemptRecord,
        seen: Sequence[Anomaly],
        position: ReadPosition | None,
        progress: Progress | None,
        now: datetime,
    ) -> list[AnomalyRecord]:
        """Anomalies and the position behind them, together or not at all.

        Returns the anomalies that were new: a line that is already kept is not kept again.
        """
        new: list[AnomalyRecord] = []
        async with self._transaction(f"recording evidence of attempt {attempt.idx}") as db:
            for anomaly in seen:
                number = await _insert_anomaly(db, attempt.id, anomaly)
                if number is None:
                    continue
                new.append(AnomalyRecord(id=number, attempt=attempt.id, anomaly=anomaly))
                found = anomaly.finding
                message = f"{found.kind} {found.cause} ({found.role}) in {anomaly.source}"
                await _log(db, now, attempt.job, attempt.idx, "anomaly", message)
            if position is not None:
                await _save_position(db, attempt.id, position, progress, now)
        return new

    async def anomalies(self, attempt: int) -> list[AnomalyRecord]:
        """The anomalies of an attempt."""
        return [rows.anomaly(row) for row in await self._all(queries.anomalies_of(attempt))]

    async def sources(self, attempt: int) -> list[SourceRecord]:
        """The log files of an attempt and their newest progress."""
        return [rows.source(row) for row in await self._all(queries.sources_of(attempt))]

    async def positions(self, attempt: int) -> list[ReadPosition]:
        """How far the files of this attempt were read."""
        return [rows.position(row) for row in await self._all(queries.sources_of(attempt))]

    async def positions_at(self, path: str) -> list[tuple[int, ReadPosition]]:
        """(attempt, position) pairs ever kept for a path, newest first."""
        found = await self._all(queries.positions_at(rows.text_digest(path)))
        return [(row["attempt"], rows.position(row)) for row in found]

    # decisions and actions

    async def requeues_begun(self, job: int) -> int:
        """How many requeues of this job ajrd has begun."""
        return int((await self._all(queries.requeues_begun(job)))[0]["begun"])

    async def write_decision(
        self, record: DecisionRecord, job: JobRecord, attempt: AttemptRecord, steps: Sequence[Step]
    ) -> DecisionRecord | None:
        """A decision with its intended actions; None if the attempt already has one."""
        values = asdict(record)
        del values["id"], values["actions"]
        try:
            async with self._transaction(f"writing a decision on job {job.job_id}") as db:
                number = await _insert(db, decisions, values)
                for step in steps:
                    await db.execute(insert(actions).values(_intent(number, step, job, record)))
                message = f"{record.verb}: {record.reason}"
                await _log(db, record.created_at, job.id, attempt.idx, "decision", message)
        except StoreUnavailable as error:
            if isinstance(error.__cause__, IntegrityError):
                return None
            raise
        return await self.decision(attempt.id)

    async def decision(self, attempt: int) -> DecisionRecord | None:
        """The decision on an attempt, with its actions."""
        found = await self._all(queries.decision_of(attempt))
        return await self._with_actions(found[0]) if found else None

    async def open_decisions(self) -> list[DecisionRecord]:
        """Decisions whose end has not been seen yet."""
        found = await self._all(queries.decisions_in(DecisionState.OPEN))
        return [await self._with_actions(row) for row in found]

    async def _with_actions(self, row: rows.Row) -> DecisionRecord:
        taken = await self._all(queries.actions_of(row["id"]))
        return rows.decision(row, tuple(rows.action(action) for action in taken))

    async def claim(self, action: ActionRecord, now: datetime, target: str) -> None:
        """Says that the command is about to run: from here on it may have run."""
        claimed = {"state": ActionState.CLAIMED.value, "tries": action.tries + 1, "target": target}
        if action.claimed_at is None:
            claimed["claimed_at"] = now
        async with self._transaction(f"claiming {action.step}") as db:
            await db.execute(update(actions).where(actions.c.id == action.id).values(claimed))

    async def finish(
        self,
        action: ActionRecord,
        attempt: AttemptRecord,
        state: ActionState,
        result: str,
        now: datetime,
    ) -> None:
        """Says what became of a command."""
        values = {"state": state.value, "result": result[:2000], "finished_at": now}
        async with self._transaction(f"finishing {action.step}") as db:
            await db.execute(update(actions).where(actions.c.id == action.id).values(values))
            message = f"{action.step} {state}: {result}"
            await _log(db, now, attempt.job, attempt.idx, "action", message)

    async def close_decision(
        self,
        record: DecisionRecord,
        attempt: AttemptRecord,
        state: DecisionState,
        outcome: str,
        detail: str,
        now: datetime,
    ) -> None:
        """Ends a decision with its outcome.

        Intended actions that were not needed are skipped. Where the decision has converged, those
        whose answer was lost (a restart in between) count as done: Slurm shows their result.
        """
        values = {"state": state.value, "outcome": outcome, "detail": detail, "closed_at": now}
        mine = actions.c.decision == record.id
        intended = mine & (actions.c.state == ActionState.INTENDED.value)
        claimed = mine & (actions.c.state == ActionState.CLAIMED.value)
        skipped = {"state": ActionState.SKIPPED.value, "finished_at": now}
        done = {
            "state": ActionState.DONE.value,
            "result": "its result was seen",
            "finished_at": now,
        }
        async with self._transaction(f"closing decision {record.id}") as db:
            await db.execute(update(decisions).where(decisions.c.id == record.id).values(values))
            await db.execute(update(actions).where(intended).values(skipped))
            if state is DecisionState.CONVERGED:
                await db.execute(update(actions).where(claimed).values(done))
            message = f"{state}: {outcome}" + (f", {detail}" if detail else "")
            await _log(db, now, attempt.job, attempt.idx, "outcome", message)

    async def log(
        self,
        now: datetime,
        event: str,
        message: str,
        *,
        job: int | None = None,
        attempt_idx: int | None = None,
    ) -> None:
        """One line of the audit trail."""
        async with self._transaction("writing an event") as db:
            await _log(db, now, job, attempt_idx, event, message)


def _intent(decision: int, step: Step, job: JobRecord, record: DecisionRecord) -> dict[str, Any]:
    return {
        "decision": decision,
        "step": step.value,
        "key": f"{job.id}/{record.attempt}/{step.value}",
        "target": job.job_id,
        "state": ActionState.INTENDED.value,
        "tries": 0,
        "result": "",
        "intended_at": record.created_at,
    }


async def _insert(db: AsyncConnection, table: Any, values: dict[str, Any]) -> int:
    result = await db.execute(insert(table).values(values))
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


async def _insert_anomaly(db: AsyncConnection, attempt: int, anomaly: Anomaly) -> int | None:
    values = rows.anomaly_values(attempt, anomaly)
    known = select(anomalies.c.id).where(
        anomalies.c.attempt == attempt, anomalies.c.digest == values["digest"]
    )
    if (await db.execute(known)).scalar() is not None:
        return None
    return await _insert(db, anomalies, values)


async def _save_position(
    db: AsyncConnection,
    attempt: int,
    position: ReadPosition,
    progress: Progress | None,
    now: datetime,
) -> None:
    values = rows.position_values(attempt, position, now)
    if progress is not None:
        values |= {
            "progress_offset": progress.offset,
            "progress_at": now,
            "progress_text": progress.text,
        }
    mine = (log_positions.c.attempt == attempt) & (
        log_positions.c.path_digest == values["path_digest"]
    )
    changed = await db.execute(update(log_positions).where(mine).values(values))
    if changed.rowcount == 0:
        await db.execute(insert(log_positions).values(values))


async def _log(
    db: AsyncConnection,
    at: datetime,
    job: int | None,
    attempt_idx: int | None,
    event: str,
    message: str,
) -> None:
    values = {
        "at": at,
        "job": job,
        "attempt_idx": attempt_idx,
        "event": event,
        "message": message[:4000],
    }
    await db.execute(insert(events).values(values))


def _why(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return " ".join(str(cause).split())[:300]


def _sqlite_settings(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for setting in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {setting}")
    cursor.close()
