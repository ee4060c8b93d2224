"""A store with jobs of several fates, and the command on it as its users call it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from click.testing import CliRunner, Result

from ajrd.cli.main import cli
from ajrd.model import (
    ActionState,
    Anomaly,
    DecisionState,
    JobState,
    Kind,
    Progress,
    ReadPosition,
    Recovery,
    RequestState,
    RequestVerb,
    Role,
    Verb,
)
from ajrd.recovery.sequence import STEPS
from ajrd.recovery.tracking import new_job, opened
from ajrd.store import requests
from ajrd.store.records import (
    Answer,
    AttemptRecord,
    DecisionRecord,
    JobRecord,
    RequestRecord,
    Suspicion,
)
from ajrd.store.store import Store
from tests.unit.samples import at, finding, job

LOG = "/w/train.log"
HOSTILE = "evil\x1b[2J\u202ename\n=cmd()"


class Place:
    """A configuration and its SQLite file in a folder."""

    def __init__(self, folder: Path, mode: str = "act") -> None:
        self.config = folder / "config.yaml"
        self.database = folder / "ajrd.sqlite"
        self.config.write_text(
            f"database: {{url: 'sqlite:///{self.database}'}}\nslurm: {{bin_dir: /none}}\n"
            f"recovery: {{mode: {mode}}}\n"
        )

    async def open(self) -> Store:
        return await Store.open(f"sqlite:///{self.database}")

    def run(self, *argv: str) -> Result:
        """One command, which must not end by an error of its own."""
        done = CliRunner().invoke(cli, argv, env={"AJRD_CONFIG": str(self.config), "TZ": "UTC"})
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done


async def a_job(
    store: Store, job_id: str, name: str = "train", **changes: object
) -> tuple[JobRecord, AttemptRecord]:
    seen = job(job_id=job_id, raw_id=int(job_id), name=name)
    record = replace(new_job(seen, "c", managed=True, note="", now=at(0)), **changes)  # type: ignore[arg-type]
    record = await store.add_job(record, "seen")
    return record, await store.save_attempt(opened(record, seen, at(0)), at(0), "attempt_started")


async def crash(store: Store, attempt: AttemptRecord, *, progress: bool = False) -> int:
    """A crash with what followed from it; the row of its first line."""
    seen = [
        Anomaly(finding(facts={"rank": "3", "node": "n2"}), LOG, at(10)),
        Anomaly(
            finding(
                rule="network.nccl",
                kind=Kind.NETWORK,
                cause="nccl_timeout",
                role=Role.CASCADE,
                offset=400,
                line_no=9,
                text="Watchdog caught collective operation timeout",
            ),
            LOG,
            at(11),
        ),
    ]
    position = ReadPosition(LOG, 1, 2, 900, 20, "ab")
    beat = Progress(800, 15, "step 41 loss 1.0", 41) if progress else None
    return (await store.record_evidence(attempt, seen, position, beat, at(12)))[0].id


async def decided(store: Store, record: JobRecord, attempt: AttemptRecord) -> None:
    """A node's fault is answered by a requeue that keeps away from it; the successor runs."""
    bad = finding(
        rule="gpu.xid",
        kind=Kind.HARDWARE,
        cause="xid",
        recovery=Recovery.REQUEUE_EXCLUDE,
        text="Xid 79: GPU has fallen off the bus",
        facts={"node": "n2", "xid": "79"},
    )
    rows = await store.record_evidence(attempt, [Anomaly(bad, LOG, at(10))], None, None, at(10))
    decision = DecisionRecord(
        id=0, attempt=attempt.id, anomaly=rows[0].id, verb=Verb.REQUEUE, branch="requeue",
        reason="HARDWARE xid: requeue 1 of 1", exclude_nodes="n2", state=DecisionState.OPEN,
        outcome="", detail="", hold_deadline=at(120), created_at=at(12), closed_at=None, used=1,
        cause="xid",
    )  # fmt: skip
    suspects = [Suspicion("n2", "HARDWARE", "xid", True)]
    steps = STEPS[Verb.REQUEUE]
    made = await store.write_decision(decision, record, attempt, steps, suspects)
    assert made is not None
    for action in made.actions:
        did = f"scontrol {action.step} {record.job_id}"
        await store.finish(action, attempt, ActionState.DONE, did, at(13))
    converged = DecisionState.CONVERGED
    dying = finding(offset=900, line_no=30, role=Role.TEARDOWN, text="srun: error: Killed")
    await store.record_evidence(attempt, [Anomaly(dying, LOG, at(13))], None, None, at(13))
    await store.close_decision(made, attempt, converged, "successor_started", "", at(20))
    ended = replace(attempt, state="REQUEUED", ended_at=at(14))
    await store.save_attempt(ended, at(14), "attempt_ended")
    seen = job(job_id=record.job_id, raw_id=record.raw_id, restarts=1, start_time=at(19))
    await store.save_attempt(opened(record, seen, at(19)), at(19), "attempt_started")


async def paused(store: Store, record: JobRecord) -> JobRecord:
    """Somebody has paused the job."""
    async with store._database.transaction(nullcontext(), "asking", writes=True) as db:
        number = await requests.ask(db, record.id, "pause", "ada", "I debug it", at(5))
    asked = RequestRecord(
        id=number, job=record.id, verb=RequestVerb.PAUSE, by="ada", reason="I debug it",
        state=RequestState.OPEN, result="", asked_at=at(5),
    )  # fmt: skip
    await store.answer(Answer(asked, RequestState.DONE, "paused"), at(6))
    record = replace(record, paused=True)
    await store.save_job(record, [("paused", "by ada: I debug it")])
    return record


async def fill(store: Store) -> None:
    """7 was recovered, 8 is paused and broken, 9 has gone on, 10 has a hostile name, 11 ended."""
    await decided(store, *await a_job(store, "7"))
    record, attempt = await a_job(store, "8")
    await crash(store, attempt)
    await paused(store, record)
    _, attempt = await a_job(store, "9")
    await crash(store, attempt, progress=True)
    await a_job(store, "10", HOSTILE)
    record, attempt = await a_job(store, "11", state=JobState.COMPLETED.value, closed=True)
    await store.save_attempt(
        replace(attempt, state="COMPLETED", ended_at=at(60)), at(60), "attempt_ended"
    )
    await a_job(store, "12", managed=False, note='the job comment has no "APS" directive')
