"""The writing side of the store: every method is one transaction.

Either all of a transaction is kept or nothing; a database that cannot be reached or is full
raises :class:`~ajrd.errors.StoreUnavailable`, and the caller keeps what it has and tries again.
A store that has taken the lease is *fenced*: see :mod:`ajrd.store.lease`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Self

from sqlalchemy import case, func, insert, or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ajrd.errors import StoreUnavailable
from ajrd.model import (
    ActionState,
    Anomaly,
    DecisionState,
    Progress,
    ReadPosition,
    RequestState,
    Step,
)
from ajrd.store import (
    evidence,
    handoffs,
    lease,
    ledger,
    migrate,
    notes,
    outbox,
    pruning,
    queries,
    requests,
    rows,
    suspicions,
)
from ajrd.store.address import Address
from ajrd.store.efficiency import Accounted, EfficiencyRecord
from ajrd.store.engine import Database
from ajrd.store.handoffs import DrainState, Suspect
from ajrd.store.records import (
    RESULT_SEEN,
    ActionRecord,
    AnomalyRecord,
    Answer,
    AttemptRecord,
    Cursor,
    DecisionRecord,
    Failure,
    JobRecord,
    News,
    RequestRecord,
    SourceRecord,
    Suspicion,
)
from ajrd.store.schema import (
    actions,
    attempts,
    decisions,
    events,
    jobs,
    log_positions,
)
from ajrd.store.statements import add, number_of

#: Seconds for making the tables of an empty database, or waiting until another process has.
_MAKING = 60.0
_NOT_UNDERSTOOD = RequestState.REFUSED.value, "this version of ajrd does not know what is asked for"


class Store:
    """One database. Made by :meth:`open`, ended by :meth:`close`.

    ``checkpoint`` is told of each moment before and after a commit, for fault tests.
    """

    def __init__(
        self, database: Database, checkpoint: Callable[[str], None] = lambda _moment: None
    ) -> None:
        self._database = database
        self._checkpoint = checkpoint
        self._one_writer = asyncio.Lock()
        self._one_renewal = asyncio.Lock()
        self._lease: lease.Held | None = None

    @classmethod
    async def open(
        cls,
        where: str | Address,
        checkpoint: Callable[[str], None] = lambda _moment: None,
    ) -> Self:
        """Connects, and makes the tables where there are none.

        Raises StoreUnavailable also for tables of an older or newer ajrd, ConfigError for an
        address or a password file that cannot be used.
        """
        database = Database(Address.of(where))
        store = cls(database, checkpoint)
        try:
            async with database.transaction(
                store._one_writer, "preparing its tables", writes=True, limit=_MAKING
            ) as db:
                await db.run_sync(migrate.prepare)
        except BaseException:
            await database.close()
            raise
        return store

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._database.close()

    @property
    def away_since(self) -> float | None:
        """When the database stopped answering (monotonic, s); None while it answers."""
        return self._database.breaker.away_since

    @asynccontextmanager
    async def _transaction(
        self, doing: str, *, lasting: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes, behind the fence; ``lasting``: the lease must not be over."""
        async with self._commit(self._one_writer, doing) as db:
            if self._lease is not None:
                await lease.fence(db, self._lease, lasting=lasting)
            yield db

    @asynccontextmanager
    async def _commit(self, turn: asyncio.Lock, doing: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes, between two checkpoints."""
        async with self._database.transaction(turn, doing, writes=True) as db:
            yield db
            self._checkpoint(f"commit_before:{_kind(doing)}")
        self._checkpoint(f"commit_after:{_kind(doing)}")

    async def _all(self, query: queries.Query) -> Sequence[rows.Row]:
        return await self._database.all(query)

    # the lease

    @property
    def epoch(self) -> int:
        """The epoch of the lease that was taken last; 0 if none was."""
        return self._lease.epoch if self._lease else 0

    async def lease_holder(self) -> str:
        """Who has the lease, if it has not run out or its end does not matter; "" for nobody."""
        found = await self._all(queries.the_lease())
        return str(found[0]["holder"]) if found else ""

    async def acquire_lease(
        self, holder: str, host: str, pid: int, ttl: float, dead: str | None = None
    ) -> int | None:
        """Takes the lease for ``ttl`` seconds if it is free; its epoch, or None if it is not.

        That of ``dead``, a holder who is known to be gone, is free.
        """
        renewal, doing = self._one_renewal, "taking the lease"
        async with self._commit(renewal, doing) as db:
            await lease.make_row(db)
        async with self._commit(renewal, doing) as db:
            epoch = await lease.take(db, holder, host, pid, ttl, dead)
        if epoch is not None:
            self._lease = lease.Held(holder, epoch)
        return epoch

    async def renew_lease(self, ttl: float) -> bool:
        """Keeps the lease for ``ttl`` seconds from now; False if another process has taken it."""
        if self._lease is None:
            return False
        doing = "renewing the lease"
        async with self._commit(self._one_renewal, doing) as db:
            return await lease.renew(db, self._lease, ttl)

    async def release_lease(self) -> None:
        """Gives the lease back; what this store still writes is refused."""
        if self._lease is None:
            return
        doing = "giving back the lease"
        async with self._commit(self._one_renewal, doing) as db:
            await lease.release(db, self._lease)

    # retention

    async def prune(self, before: datetime) -> pruning.Pruned:
        """Forgets a few jobs that are over and were last seen before a moment."""
        async with self._transaction("forgetting old jobs") as db:
            return await pruning.prune(db, before)

    # jobs and attempts

    async def open_jobs(self, cluster: str) -> list[JobRecord]:
        """Submissions not yet seen to be over."""
        return [rows.job(row) for row in await self._all(queries.open_jobs(cluster))]

    async def latest_job(self, cluster: str, job_id: str) -> JobRecord | None:
        """The newest submission with this id, over or not."""
        found = await self._all(queries.job_by_id(job_id, cluster))
        return rows.job(found[0]) if found else None

    async def add_job(self, record: JobRecord, message: str) -> JobRecord:
        """Keeps a new submission; ``record.id`` is ignored.

        One that is kept already (the answer to its commit was lost) keeps its number.
        """
        values = asdict(record)
        del values["id"]
        identity = (
            (jobs.c.cluster == record.cluster)
            & (jobs.c.job_id == record.job_id)
            & (jobs.c.first_submit_time == record.first_submit_time)
        )
        async with self._transaction(f"recording job {record.job_id}") as db:
            new = await number_of(db, jobs, identity)
            if new is None:
                new = await add(db, jobs, values)
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
        identity = (attempts.c.job == record.job) & (attempts.c.idx == record.idx)
        async with self._transaction(f"recording {event} {record.idx}") as db:
            known = record.id or await number_of(db, attempts, identity)
            if known:
                record = replace(record, id=known)
                del values["log_note"]
                await db.execute(update(attempts).where(attempts.c.id == record.id).values(values))
            else:
                record = replace(record, id=await add(db, attempts, values))
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

        Returns those that were new, and those that another source had already told, with the row
        of that: a line that is already kept is not kept again (:mod:`ajrd.store.evidence`).
        """
        what = "evidence" if seen else "a read position"
        async with self._transaction(f"recording {what} of attempt {attempt.idx}") as db:
            new = await _keep_anomalies(db, attempt, seen, now)
            if position is not None:
                await _save_position(db, attempt.id, position, progress, now)
        return new

    async def record_sweep(
        self, cursor: Cursor | None, news: Sequence[News], now: datetime
    ) -> list[AnomalyRecord]:
        """What a stretch of Loki brought for many attempts, and how far it was read, together."""
        new: list[AnomalyRecord] = []
        async with self._transaction("recording evidence from Loki") as db:
            for one in news:
                new += await _keep_anomalies(db, one.attempt, one.seen, now)
                for position, progress in one.positions:
                    await _save_position(db, one.attempt.id, position, progress, now)
            if cursor is not None:
                await evidence.read_to(db, cursor, now)
        return new

    async def loki_cursor(self, name: str) -> int | None:
        """How far a stretch of Loki was read, in nanoseconds since 1970."""
        found = await self._all(queries.loki_cursor(name))
        return int(found[0]["ns"]) if found else None

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

    async def failures(self, job: int) -> list[Failure]:
        """How far each attempt of a job got and what ended it, in their order."""
        return [rows.failure(row) for row in await self._all(queries.failures_of(job))]

    # decisions and actions

    async def requeues_begun(self, job: int) -> int:
        """How many requeues of this job ajrd has begun."""
        return int((await self._all(queries.requeues_begun(job)))[0]["begun"])

    async def write_decision(
        self,
        record: DecisionRecord,
        job: JobRecord,
        attempt: AttemptRecord,
        steps: Sequence[Step],
        suspects: Sequence[Suspicion] = (),
        answer: Answer | None = None,
    ) -> DecisionRecord | None:
        """A decision with its intended actions; None if the attempt already has one.

        With it come the nodes that it implicates and the answer to the request that asked for it.
        """
        record = replace(record, epoch=self.epoch)
        values = asdict(record)
        del values["id"], values["actions"]
        try:
            async with self._transaction(f"writing a decision on job {job.job_id}") as db:
                number = await add(db, decisions, values)
                for step in steps:
                    await db.execute(insert(actions).values(_intent(number, step, job, record)))
                message = f"{record.verb}: {record.reason}"
                await _log(db, record.created_at, job.id, attempt.idx, "decision", message)
                await _suspect(db, attempt, suspects, record.created_at)
                if answer is not None:
                    await _answer(db, answer, attempt.idx, record.created_at)
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
        """Says that the command is about to run: from here on it may have run.

        Under a lease it must not have run out: nobody else may be about to run it, too.
        """
        claimed = {
            "state": ActionState.CLAIMED.value,
            "tries": action.tries + 1,
            "target": target,
            "claimed_at": now,
            "epoch": self.epoch,
        }
        async with self._transaction(f"claiming {action.step}", lasting=True) as db:
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
            "result": RESULT_SEEN,
            "finished_at": now,
        }
        async with self._transaction(f"closing decision {record.id}") as db:
            await db.execute(update(decisions).where(decisions.c.id == record.id).values(values))
            await db.execute(update(actions).where(intended).values(skipped))
            if state is DecisionState.CONVERGED:
                await db.execute(update(actions).where(claimed).values(done))
            message = f"{state}: {outcome}" + (f", {detail}" if detail else "")
            await _log(db, now, attempt.job, attempt.idx, "outcome", message)

    async def import_decision(
        self,
        note: DecisionRecord,
        job: JobRecord,
        attempt: AttemptRecord,
        suspects: Sequence[Suspicion] = (),
    ) -> None:
        """Writes down what was carried out while the database was away, with its outcome.

        This is history: it is written also by one who leads no more. A decision that another ajrd
        has made and closed meanwhile stays; what was done then stands in the trail alone.
        """
        doing = f"recording what was done to job {job.job_id} without the database"
        async with self._commit(self._one_writer, doing) as db:
            kept = await notes.write(db, note, job, attempt.id)
            await _suspect(db, attempt, suspects, note.created_at)
            what = "degraded" if kept else "degraded, beside another decision"
            message = f"{what}: {note.verb}: {note.reason}; {note.state}: {note.outcome}"
            at = note.closed_at or note.created_at
            await _log(db, at, job.id, attempt.idx, "decision", message)

    # efficiency

    async def look_up(self, query: queries.Query) -> Sequence[rows.Row]:
        """The rows of a query that another module of the store has made."""
        return await self._all(query)

    async def save_efficiency(self, records: Sequence[EfficiencyRecord], now: datetime) -> None:
        """Writes the records of some attempts, in place of those that they had."""
        async with self._transaction("recording efficiency") as db:
            await ledger.write(db, records, now)

    async def correct_times(self, found: Sequence[Accounted]) -> None:
        """Puts the times of ended attempts right, as accounting has them."""
        async with self._transaction("correcting times") as db:
            for one in found:
                await ledger.correct(db, one)

    # what leaves ajrd

    async def save_handoff(
        self, suspect: Suspect, now: datetime, event: str = "", message: str = ""
    ) -> None:
        """Writes what was done about a suspected node, and says so in the audit trail.

        A drain that is about to run is claimed: under a lease, it must not have run out.
        """
        claims = suspect.drain is DrainState.CLAIMED
        async with self._transaction("recording a hand-off", lasting=claims) as db:
            await handoffs.write(db, suspect, now)
            if event:
                await _log(db, now, suspect.job, suspect.attempt_idx, event, message)

    async def cursor(self, name: str) -> int | None:
        """How far a reader of the audit trail has come; None if it has never begun."""
        found = await self._all(outbox.cursor(name))
        return int(found[0]["number"]) if found else None

    async def move_cursor(self, name: str, number: int, now: datetime, lost: str = "") -> None:
        """The reader has come as far as that; ``lost`` says what could not be delivered."""
        async with self._transaction("moving a cursor") as db:
            await outbox.move(db, name, number, now)
            if lost:
                await _log(db, now, None, None, "webhook_dead", lost)

    # requests

    async def open_requests(self, now: datetime) -> list[RequestRecord]:
        """What people have asked for and nobody has answered, oldest first.

        What this ajrd does not understand, a newer one may have written: it is refused.
        """
        found = []
        for row in await self._all(requests.open_requests()):
            try:
                found.append(rows.request(row))
            except ValueError:
                async with self._transaction("refusing a request") as db:
                    await requests.finish(db, row["id"], *_NOT_UNDERSTOOD, now)
        return found

    async def answer(self, answer: Answer, now: datetime) -> None:
        """Says what became of a request, there and in the audit trail."""
        async with self._transaction("answering a request") as db:
            await _answer(db, answer, None, now)

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


def _kind(doing: str) -> str:
    """The words for a transaction without what they are about: "recording job" for job 12, too."""
    return re.split(r" (?:on|of|\d)", doing)[0]


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
        "epoch": record.epoch,
    }


async def _answer(
    db: AsyncConnection, answer: Answer, attempt_idx: int | None, now: datetime
) -> None:
    asked = answer.request
    await requests.finish(db, asked.id, answer.state.value, answer.result, now)
    message = f"{asked.verb} for {asked.by}: {answer.result}"
    await _log(db, now, asked.job, attempt_idx, f"request_{answer.state}", message)


async def _suspect(
    db: AsyncConnection, attempt: AttemptRecord, suspects: Iterable[Suspicion], at: datetime
) -> None:
    new = await suspicions.keep(db, attempt.id, suspects, at)
    if new:
        message = f"{', '.join(s.node for s in new)}: {new[0].kind} {new[0].cause}"
        await _log(db, at, attempt.job, attempt.idx, "node_suspected", message)


async def _keep_anomalies(
    db: AsyncConnection, attempt: AttemptRecord, seen: Iterable[Anomaly], now: datetime
) -> list[AnomalyRecord]:
    records: list[AnomalyRecord] = []
    for anomaly in seen:
        kept = await evidence.keep(db, attempt.id, anomaly)
        if kept is None:
            continue
        number, new = kept
        records.append(AnomalyRecord(id=number, attempt=attempt.id, anomaly=anomaly, new=new))
        if new:
            found = anomaly.finding
            message = f"{found.kind} {found.cause} ({found.role}) in {anomaly.source}"
            await _log(db, now, attempt.job, attempt.idx, "anomaly", message)
    return records


async def _save_position(
    db: AsyncConnection,
    attempt: int,
    position: ReadPosition,
    progress: Progress | None,
    now: datetime,
) -> None:
    values = rows.position_values(attempt, position, now)
    if progress is not None:
        values |= rows.progress_values(progress, now)
    mine = (log_positions.c.attempt == attempt) & (
        log_positions.c.path_digest == values["path_digest"]
    )
    changes = values | _furthest(values.get("progress_step"))
    if progress is not None:
        changes = _first(values) | changes
        values |= {"first_progress_at": now, "first_step": values["progress_step"]}
    change = update(log_positions).where(mine)
    changed = await db.execute(change.ordered_values(*changes.items()))
    if changed.rowcount == 0:
        await db.execute(insert(log_positions).values(values))


def _first(values: dict[str, Any]) -> dict[str, Any]:
    """The first progress that was ever read stays; its step may come a little later.

    Where progress was kept before its first was, that is not known. These come first among the
    changes: MySQL goes by what the ones before have already set.
    """
    c = log_positions.c
    step = func.coalesce(c.first_step, values["progress_step"])
    lost = c.progress_at.is_not(None) & c.first_progress_at.is_(None)
    return {
        "first_step": case((lost, c.first_step), else_=step),
        "first_progress_at": case(
            (c.progress_at.is_(None), values["progress_at"]), else_=c.first_progress_at
        ),
    }


def _furthest(step: int | None) -> dict[str, Any]:
    """A step may be told again after a restart from a checkpoint: the largest one stays."""
    column = log_positions.c.progress_step
    if step is None:
        return {"progress_step": column}
    further = or_(column.is_(None), column < step)
    return {"progress_step": case((further, step), else_=column)}


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
