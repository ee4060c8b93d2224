"""Writes what happened to jobs into a store as recovery does, at moments of the story's own."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import insert

from ajrd.model import (
    ActionState,
    Anomaly,
    DecisionState,
    Finding,
    Kind,
    Progress,
    ReadPosition,
    Recovery,
    Role,
    Step,
    Verb,
)
from ajrd.recovery.sequence import STEPS, Outcome
from ajrd.store.engine import Database
from ajrd.store.records import AnomalyRecord, AttemptRecord, DecisionRecord, JobRecord
from ajrd.store.schema import job_efficiency_records, node_suspicions, requests
from ajrd.store.store import Store

REQUEUES = '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": %d}}'
CHAIN = '{"APS": {"auto_resume_mode": "singleton_dependency"}}'
#: The job of the verification: it may be requeued once.
VERIFICATION = REQUEUES % 1
SEGFAULT = "Rank0: (1) segmentation fault"
#: Seconds from a decision to the end of each of its steps.
_PACE = {
    Step.ANNOUNCE: 0.08,
    Step.REQUEUE_HOLD: 0.31,
    Step.CANCEL: 0.35,
    Step.UPDATE: 5.2,
    Step.RELEASE: 6.4,
    Step.RELEASE_NEXT: 1.2,
}
_COMMANDS = {
    Step.ANNOUNCE: "scontrol update JobId={job} AdminComment='[ajrd {why}]'",
    Step.REQUEUE_HOLD: "scontrol requeuehold {job}",
    Step.CANCEL: "scancel {job}",
    Step.UPDATE: "scontrol update JobId={job} StartTime=now",
    Step.RELEASE: "scontrol release {job}",
    Step.RELEASE_NEXT: "scontrol release {job}",
}
_ENDS = {
    Verb.REQUEUE: Outcome.SUCCESSOR_STARTED,
    Verb.STOP: Outcome.STOPPED,
    Verb.CHAIN: Outcome.CHAIN_CONTINUES,
    Verb.LEAVE: Outcome.LEFT_ALONE,
}


def seconds(count: float) -> timedelta:
    """A duration."""
    return timedelta(seconds=count)


@dataclass(frozen=True)
class Teller:
    """``database`` is for the tables that other parts write."""

    store: Store
    database: Database

    async def job(self, job_id: str, at: datetime, **changes: Any) -> JobRecord:
        """A job that was submitted at a moment."""
        values: dict[str, Any] = {
            "id": 0,
            "cluster": "c",
            "job_id": job_id,
            "raw_id": int(job_id.partition("_")[0]),
            "first_submit_time": at,
            "submit_time": at,
            "name": "train",
            "user": "ada",
            "uid": 1000,
            "partition": "gpu",
            "comment": VERIFICATION,
            "managed": True,
            "note": "",
            "restarts": 0,
            "restarts_before": 0,
            "state": "PENDING",
            "reason": "Resources",
            "closed": False,
            "seen_at": at,
        }
        return await self.store.add_job(JobRecord(**values | changes), "managed")

    async def attempt(
        self, job: JobRecord, idx: int, at: datetime, nodes: str = "n[1-2]", count: int = 2
    ) -> AttemptRecord:
        """An attempt that starts at a moment."""
        record = AttemptRecord(
            id=0,
            job=job.id,
            idx=idx,
            state="RUNNING",
            nodes=nodes,
            started_at=at,
            eligible_at=at,
            node_count=count,
            cpus=64 * count,
            gpus=8 * count,
        )
        await self.state(job, at, "RUNNING", restarts=idx)
        return await self.store.save_attempt(record, at, "attempt_started")

    async def ends(self, attempt: AttemptRecord, at: datetime, state: str) -> AttemptRecord:
        """The attempt is over."""
        code = 0 if state in ("COMPLETED", "REQUEUED") else 1
        over = replace(attempt, state=state, ended_at=at, exit_code=code)
        return await self.store.save_attempt(over, at, "attempt_ended")

    async def state(
        self, job: JobRecord, at: datetime, state: str, *, closed: bool = False, restarts: int = 0
    ) -> None:
        """What Slurm shows of the job."""
        reason = "None" if state != "PENDING" else "Resources"
        await self.store.save_job(
            replace(job, state=state, reason=reason, closed=closed, seen_at=at, restarts=restarts)
        )

    async def anomaly(
        self, attempt: AttemptRecord, at: datetime, text: str = SEGFAULT, **changes: Any
    ) -> AnomalyRecord:
        """A line that breaks the attempt."""
        values: dict[str, Any] = {
            "rule": "crash.segfault",
            "kind": Kind.CRASH,
            "cause": "segfault",
            "role": Role.ROOT,
            "recovery": Recovery.REQUEUE,
            "offset": int(at.timestamp()) % 10_000_000,
            "line_no": 4812,
            "text": text,
            "before": (
                "iteration 4810 | loss 2.31 | 412 ms",
                "iteration 4811 | loss 2.30 | 409 ms",
            ),
            "after": ("srun: error: n1: task 0: Segmentation fault (core dumped)",),
            "facts": {"rank": "0", "node": "n1", "signal": "11"},
        }
        source = changes.pop("source", f"/scratch/ada/train/slurm-{attempt.job}.out")
        seen = Anomaly(Finding(**values | changes), source, at)
        position = ReadPosition(source, 1, 2, 812_331, 4813, "ab")
        progress = Progress(790_112, 4811, "iteration 4811 | loss 2.30 | 409 ms", 4811)
        new = await self.store.record_evidence(attempt, [seen], position, progress, at)
        return new[0]

    async def decision(
        self,
        job: JobRecord,
        attempt: AttemptRecord,
        found: AnomalyRecord,
        verb: Verb,
        reason: str,
        used: int = 0,
        nodes: str = "",
        outcome: Outcome | None = None,
    ) -> DecisionRecord:
        """A decision that was carried out, two seconds after the line."""
        at = found.anomaly.detected_at + seconds(2)
        finding = found.anomaly.finding
        open_ = DecisionRecord(
            id=0,
            attempt=attempt.id,
            anomaly=found.id,
            verb=verb,
            branch={Verb.REQUEUE: "requeue", Verb.CHAIN: "singleton"}.get(verb, "budget_spent"),
            reason=f"{finding.kind} {finding.cause}: {reason}",
            exclude_nodes=nodes,
            state=DecisionState.OPEN,
            outcome="",
            detail="",
            hold_deadline=at + seconds(120) if verb is Verb.REQUEUE else None,
            created_at=at,
            closed_at=None,
            used=used,
            cause=finding.cause,
        )
        kept = await self.store.write_decision(open_, job, attempt, STEPS[verb])
        assert kept is not None
        for action in kept.actions:
            done = at + seconds(_PACE[action.step])
            said = _COMMANDS[action.step].format(job=job.job_id, why=kept.reason)
            said += f" ExcNodeList={nodes}" if nodes and action.step is Step.UPDATE else ""
            await self.store.claim(action, done - seconds(0.06), job.job_id)
            await self.store.finish(action, attempt, ActionState.DONE, said, done)
        end, state = outcome or _ENDS[verb], DecisionState.CONVERGED
        await self.store.close_decision(kept, attempt, state, end.value, "", at + seconds(9))
        return kept

    async def suspicion(
        self, attempt: AttemptRecord, node: str, found: AnomalyRecord, *, excluded: bool
    ) -> None:
        """A node that a decision implicates."""
        finding = found.anomaly.finding
        await self._insert(
            node_suspicions,
            attempt=attempt.id,
            node=node,
            kind=finding.kind.value,
            cause=finding.cause,
            excluded=excluded,
            at=found.anomaly.detected_at + seconds(2),
        )

    async def request(self, job: JobRecord, verb: str, by: str, reason: str, result: str) -> None:
        """What somebody has asked for, and what became of it."""
        times = {"asked_at": job.seen_at, "done_at": job.seen_at}
        await self._insert(
            requests,
            job=job.id,
            verb=verb,
            by=by,
            reason=reason,
            state="done",
            result=result,
            **times,
        )

    async def efficiency(
        self, job: JobRecord, attempt: AttemptRecord, cause: str = "", **parts: float
    ) -> None:
        """What an attempt's time went into, in seconds by the names of the columns."""
        assert attempt.ended_at is not None
        ran = (attempt.ended_at - attempt.started_at).total_seconds()
        off = sum(parts.get(name, 0.0) for name in ("detection", "kill", "starting"))
        work = max(ran - off, 0.0)
        kept = max(work - parts.get("lost", 0.0), 0.0)
        down = sum(
            parts.get(name, 0.0) for name in ("detection", "kill", "requeue_wait", "restart")
        )
        parts = {"lost": 0.0, "automatic_downtime": down, "manual_downtime": 0.0, **parts}
        await self._insert(
            job_efficiency_records,
            attempt=attempt.id,
            cluster=job.cluster,
            job_id=job.job_id,
            job_name=job.name,
            user=job.user,
            partition=job.partition,
            attempt_idx=attempt.idx,
            state=attempt.state,
            kind="",
            cause=cause,
            outcome="",
            recovered=bool(parts.get("saved")),
            node_count=attempt.node_count,
            gpus=attempt.gpus,
            submitted_at=job.first_submit_time,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            productive_seconds=work,
            allocated_gpu_hours=attempt.gpus * ran / 3600,
            goodput_gpu_hours=attempt.gpus * kept / 3600,
            complete=True,
            updated_at=attempt.ended_at,
            **{f"{name}_seconds": value for name, value in parts.items()},
        )

    async def _insert(self, table: Any, **values: Any) -> None:
        async with self.database.transaction(nullcontext(), "telling", writes=True) as db:
            await db.execute(insert(table).values(values))


async def verification(teller: Teller, at: datetime, job_id: str = "7") -> JobRecord:
    """The job of the verification: it crashes, is requeued once, and completes."""
    job = await teller.job(job_id, at - seconds(60), name="gpt-pretrain")
    first = await teller.attempt(job, 0, at)
    found = await teller.anomaly(first, at + seconds(1800))
    first = await teller.ends(first, at + seconds(1803), "REQUEUED")
    await teller.decision(job, first, found, Verb.REQUEUE, "requeue 1 of 1", used=1)
    second = await teller.attempt(job, 1, at + seconds(1812))
    await teller.ends(second, at + seconds(5400), "COMPLETED")
    await teller.state(job, at + seconds(5400), "COMPLETED", closed=True, restarts=1)
    return job
