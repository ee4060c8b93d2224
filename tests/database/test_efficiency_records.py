"""Records of efficiency: written when an attempt is over, put right when more is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import update

from ajrd.errors import StoreUnavailable
from ajrd.model import DecisionState, Progress, ReadPosition, Verb
from ajrd.recovery.accounting import Accounting
from ajrd.recovery.bookkeeping import Bookkeeping
from ajrd.recovery.sequence import Outcome
from ajrd.recovery.tracking import new_job
from ajrd.slurm.accounting import Execution
from ajrd.store import efficiency as table
from ajrd.store.address import Address
from ajrd.store.driver import connect
from ajrd.store.efficiency import EfficiencyRecord
from ajrd.store.queries import Query
from ajrd.store.records import AttemptRecord, JobRecord
from ajrd.store.schema import log_positions
from ajrd.store.store import Store
from tests.database.samples import a_decision
from tests.database.server import Schema
from tests.database.test_queries import ROWS as MANY_ROWS
from tests.database.test_queries import SCANS
from tests.unit.samples import anomaly, at, job

BASELINE = 1800.0
A_DAY = 86400.0


class Scene:
    """A store, what happens to jobs in it, and a bookkeeping that turns when it is told to."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = 0.0
        self.books = self.new_books()

    def new_books(self) -> Bookkeeping:
        return Bookkeeping(self.store, lambda: BASELINE, lambda: at(self.now))

    async def submit(self, job_id: str = "7", seconds: float = 0, name: str = "train") -> JobRecord:
        seen = job(job_id=job_id, raw_id=int(job_id), submit_time=at(seconds), name=name)
        new = new_job(seen, "c", managed=True, note="", now=at(seconds))
        return await self.store.add_job(new, "seen")

    async def start(self, of: JobRecord, idx: int, seconds: float) -> AttemptRecord:
        new = AttemptRecord(
            id=0, job=of.id, idx=idx, state="RUNNING", nodes="n[1-2]", node_count=2, gpus=8,
            started_at=at(seconds), eligible_at=at(seconds - 10),
        )  # fmt: skip
        return await self.store.save_attempt(new, at(seconds), "attempt_started")

    async def end(self, attempt: AttemptRecord, seconds: float, state: str = "REQUEUED") -> None:
        over = replace(attempt, state=state, ended_at=at(seconds))
        await self.store.save_attempt(over, at(seconds), "attempt_ended")

    async def progress(
        self, attempt: AttemptRecord, seconds: float, step: int | None = None
    ) -> None:
        where = ReadPosition("/w/a.log", 1, 2, int(seconds), 10, "ab")
        made = Progress(int(seconds), 1, "a step", step)
        await self.store.record_evidence(attempt, [], where, made, at(seconds))

    async def crash(self, attempt: AttemptRecord, seconds: float) -> None:
        seen = anomaly(seconds, offset=int(seconds), text=f"segfault {seconds}")
        await self.store.record_evidence(attempt, [seen], None, None, at(seconds))

    async def decide(
        self,
        job: JobRecord,
        attempt: AttemptRecord,
        seconds: float,
        outcome: Outcome | None = Outcome.SUCCESSOR_STARTED,
        verb: Verb = Verb.REQUEUE,
        closed: float | None = None,
        branch: str = "requeue",
    ) -> None:
        said = a_decision(attempt, verb)
        said = replace(said, created_at=at(seconds), cause="segfault", branch=branch)
        kept = await self.store.write_decision(said, job, attempt, ())
        assert kept is not None
        if outcome is None:
            return
        good = outcome not in (Outcome.HELD_BY_OTHERS, Outcome.REQUEUED_BY_OTHERS)
        state = DecisionState.CONVERGED if good else DecisionState.ABANDONED
        when = at(closed if closed is not None else seconds + 20)
        await self.store.close_decision(kept, attempt, state, outcome, "", when)

    async def turn(self, seconds: float) -> dict[tuple[str, int], EfficiencyRecord]:
        self.now = seconds
        await self.books.turn()
        return await self.records()

    async def records(self) -> dict[tuple[str, int], EfficiencyRecord]:
        rows = await self.store.look_up(table.records_since(at(-A_DAY), 100))
        found = map(table.record, rows)
        return {(each.job_id, each.attempt_idx): each for each in found}


@pytest.fixture
def scene(store: Store) -> Scene:
    return Scene(store)


async def a_recovery(scene: Scene) -> AttemptRecord:
    """The story of :mod:`tests.unit.test_efficiency`, up to the start of the successor."""
    job = await scene.submit()
    first = await scene.start(job, 0, 100)
    await scene.progress(first, 160, 0)
    await scene.progress(first, 1060, 900)
    await scene.crash(first, 1065)
    await scene.decide(job, first, 1067)
    await scene.end(first, 1070)
    return await scene.start(job, 1, 1080)


async def test_a_recovered_attempt_is_corrected_once_its_successor_works(scene: Scene) -> None:
    second = await a_recovery(scene)
    before = (await scene.turn(1100))["7", 0]
    assert (before.parts.complete, before.parts.restart, before.parts.saved) == (False, None, None)
    assert (before.parts.lost, before.failed_at) == (5, at(1065))
    await scene.progress(second, 1130, 600)
    after = (await scene.turn(1300))["7", 0].parts
    assert (after.lost, after.restart, after.saved) == (305, 50, BASELINE - 65)
    assert (after.queued, after.starting, after.productive) == (10, 60, 905)
    assert (after.detection, after.kill, after.requeue_wait) == (2, 3, 10)
    assert (after.recovered, after.complete, after.gpus) == (True, True, 8)
    assert list(await scene.records()) == [("7", 0)]


async def test_what_a_dead_ajrd_has_left_open_is_found_by_the_next(scene: Scene) -> None:
    second = await a_recovery(scene)
    await scene.turn(1100)
    await scene.progress(second, 1130, 600)
    scene.books = scene.new_books()
    assert (await scene.turn(1300))["7", 0].parts.complete


async def test_a_store_that_is_away_is_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_recovery(scene)

    async def away(_records: object, _now: datetime) -> None:
        raise StoreUnavailable("the test says so")

    with monkeypatch.context() as patch:
        patch.setattr(scene.store, "save_efficiency", away)
        with pytest.raises(StoreUnavailable):
            await scene.turn(1100)
    assert ("7", 0) in await scene.turn(1101)


async def test_a_record_waits_for_the_last_lines_of_the_logs(scene: Scene) -> None:
    job = await scene.submit()
    only = await scene.start(job, 0, 100)
    await scene.end(only, 1000, "COMPLETED")
    early = (await scene.turn(1001))["7", 0].parts
    assert (early.productive, early.complete) == (None, False)
    await scene.progress(only, 160)
    late = (await scene.turn(1121))["7", 0].parts
    assert (late.productive, late.lost, late.complete) == (840, 0, True)


async def test_a_running_attempt_has_no_record(scene: Scene) -> None:
    await scene.start(await scene.submit(), 0, 100)
    assert await scene.turn(200) == {}


async def test_a_complete_record_is_not_reckoned_again(scene: Scene) -> None:
    only = await scene.start(await scene.submit(), 0, 100)
    await scene.end(only, 1000, "COMPLETED")
    await scene.turn(2000)
    await scene.end(only, 1500, "COMPLETED")
    assert (await scene.turn(9000))["7", 0].ended_at == at(1000)
    scene.books.again([only.id])
    assert (await scene.turn(9001))["7", 0].ended_at == at(1500)


async def test_a_line_that_progress_has_answered_is_not_the_failure(scene: Scene) -> None:
    job = await scene.submit()
    first = await scene.start(job, 0, 100)
    await scene.progress(first, 160)
    await scene.crash(first, 200)
    await scene.progress(first, 900)
    await scene.crash(first, 950)
    await scene.end(first, 960, "FAILED")
    assert (await scene.turn(970))["7", 0].failed_at == at(950)


async def test_a_resubmission_counts_as_manual_downtime(scene: Scene) -> None:
    first = await scene.start(await scene.submit(), 0, 100)
    await scene.progress(first, 160)
    await scene.crash(first, 1000)
    await scene.end(first, 1002, "FAILED")
    assert not (await scene.turn(1200))["7", 0].parts.complete
    again = await scene.submit("8", 4000)
    second = await scene.start(again, 0, 4050)
    await scene.progress(second, 4100)
    parts = (await scene.turn(4500))["7", 0].parts
    assert parts.manual_downtime == 4040 - 1002
    assert (parts.saved, parts.recovered, parts.complete) == (0, False, True)


async def test_another_workflow_of_the_user_is_no_successor(scene: Scene) -> None:
    first = await scene.start(await scene.submit(), 0, 100)
    await scene.end(first, 1002, "FAILED")
    other = await scene.submit("8", 4000, name="evaluate")
    await scene.start(other, 0, 4050)
    parts = (await scene.turn(4500))["7", 0].parts
    assert (parts.manual_downtime, parts.complete) == (0, False)
    assert (await scene.turn(1002 + A_DAY + 1))["7", 0].parts.complete


async def test_a_hold_of_the_owner_is_manual_from_when_ajrd_gave_up(scene: Scene) -> None:
    job = await scene.submit()
    first = await scene.start(job, 0, 100)
    await scene.progress(first, 160)
    await scene.crash(first, 1000)
    await scene.decide(job, first, 1002, Outcome.HELD_BY_OTHERS, closed=1020)
    await scene.end(first, 1005)
    second = await scene.start(job, 1, 5000)
    await scene.progress(second, 5030)
    parts = (await scene.turn(6000))["7", 0].parts
    assert parts.manual_downtime == 4990 - 1020
    assert (parts.saved, parts.recovered) == (0, False)


async def test_the_next_job_of_a_chain_is_the_successor(scene: Scene) -> None:
    job = await scene.submit()
    chained = await scene.submit("8", 1)
    first = await scene.start(job, 0, 100)
    await scene.progress(first, 160, 0)
    await scene.progress(first, 960, 800)
    await scene.crash(first, 1000)
    await scene.decide(job, first, 1002, Outcome.CHAIN_CONTINUES, Verb.CHAIN)
    await scene.end(first, 1005, "CANCELLED")
    assert not (await scene.turn(1500))["7", 0].parts.complete
    second = await scene.start(chained, 0, 1010)
    await scene.progress(second, 1050, 400)
    parts = (await scene.turn(2000))["7", 0].parts
    assert parts.complete
    assert (parts.lost, parts.restart, parts.saved) == (440, 40, BASELINE - 50)
    assert (parts.recovered, parts.manual_downtime) == (True, 0)


async def test_a_requeue_that_somebody_asked_for_has_saved_nothing(scene: Scene) -> None:
    """Its attempt was well, and a person was there."""
    job = await scene.submit()
    first = await scene.start(job, 0, 100)
    await scene.progress(first, 160, 0)
    await scene.progress(first, 1060, 900)
    await scene.decide(job, first, 1067, branch="operator")
    await scene.end(first, 1070)
    second = await scene.start(job, 1, 1080)
    await scene.progress(second, 1130, 900)
    parts = (await scene.turn(1300))["7", 0].parts
    assert (parts.recovered, parts.saved, parts.manual_downtime) == (False, 0, 0)
    assert (parts.productive, parts.automatic_downtime, parts.complete) == (910, 60, True)


async def test_an_open_decision_keeps_a_record_open(scene: Scene) -> None:
    job = await scene.submit()
    first = await scene.start(job, 0, 100)
    await scene.decide(job, first, 900, None)
    await scene.end(first, 1000, "COMPLETED")
    assert not (await scene.turn(9000))["7", 0].parts.complete


async def test_an_attempt_that_is_forgotten_meanwhile_gets_no_record(scene: Scene) -> None:
    first = await scene.start(await scene.submit(), 0, 100)
    await scene.end(first, 1000, "COMPLETED")
    (record,) = (await scene.turn(1001)).values()
    gone = replace(record, attempt=record.attempt + 99)
    await scene.store.save_efficiency([gone], at(1002))
    assert len(await scene.records()) == 1


async def test_readers_see_what_was_written(scene: Scene, address: Address) -> None:
    await a_recovery(scene)
    (written,) = (await scene.turn(1100)).values()
    reader = connect(address)
    (row,) = reader.all(table.records_of_job("7", 10))
    assert table.record(row) == written
    reader.close()


class Told:
    """Accounting that says what it is told to."""

    def __init__(self, *found: Execution) -> None:
        self.found = list(found)
        self.asked: list[list[int]] = []

    async def executions(self, raw_ids: Iterable[int]) -> list[Execution]:
        self.asked.append(list(raw_ids))
        return self.found


async def test_late_accounting_corrects_a_complete_record_once(scene: Scene) -> None:
    only = await scene.start(await scene.submit(), 0, 100)
    await scene.progress(only, 160)
    await scene.end(only, 1000, "COMPLETED")
    await scene.turn(2000)
    accounting = Told(Execution(7, at(5), at(30)), Execution(7, at(98), at(990)))
    loop = Accounting(accounting, scene.store, scene.books, lambda: at(scene.now))
    await loop.round()
    after = (await scene.turn(2001))["7", 0]
    assert (after.started_at, after.ended_at) == (at(98), at(990))
    assert (after.parts.starting, after.parts.productive) == (62, 830)
    await loop.round()
    assert accounting.asked == [[7]]


async def test_accounting_corrects_what_is_reckoned_from_the_end_of_the_attempt_before(
    scene: Scene,
) -> None:
    """An end that ajrd saw late is also since when the next attempt was queued."""
    job = await scene.submit()
    first = await scene.start(job, 0, 100)
    await scene.end(first, 1000)
    second = await scene.start(job, 1, 1200)
    await scene.end(second, 2000, "COMPLETED")
    assert (await scene.turn(A_DAY))["7", 1].submitted_at == at(1000)
    told = Told(Execution(7, at(100), at(400)), Execution(7, at(1200), at(2000)))
    await Accounting(told, scene.store, scene.books, lambda: at(scene.now)).round()
    after = await scene.turn(A_DAY + 1)
    assert (after["7", 0].ended_at, after["7", 1].submitted_at) == (at(400), at(400))


async def test_attempts_with_numbers_of_pruned_ones_are_reckoned(scene: Scene) -> None:
    """SQLite gives the numbers of the newest rows again once they are gone."""
    old = await scene.submit("7")
    for idx in range(3):
        await scene.end(await scene.start(old, idx, 100), 200, "COMPLETED")
    await scene.turn(A_DAY)
    await scene.store.save_job(replace(old, closed=True))
    assert (await scene.store.prune(at(A_DAY))).jobs == 1
    await scene.turn(A_DAY + 10)
    await scene.end(await scene.start(await scene.submit("8"), 0, A_DAY), A_DAY + 20, "COMPLETED")
    assert list(await scene.turn(A_DAY + 30)) == [("8", 0)]


async def test_accounting_of_another_job_with_the_same_number_says_nothing(scene: Scene) -> None:
    only = await scene.start(await scene.submit(), 0, 100)
    await scene.end(only, 1000, "COMPLETED")
    await scene.turn(2000)
    accounting = Told(Execution(7, at(-90000), at(-80000)), Execution(8, at(100), at(990)))
    loop = Accounting(accounting, scene.store, scene.books, lambda: at(scene.now))
    await loop.round()
    await loop.round()
    assert (await scene.turn(2001))["7", 0].ended_at == at(1000)
    assert accounting.asked == [[7], [7]]


#: 3,000 records; one in a hundred is not complete.
RECORDS = """
INSERT INTO job_efficiency_records SELECT seq, seq, 'c', CONCAT(seq, '_1'), 'train', 'u', 'p', 0,
  'FAILED', 'CRASH', 'segfault', '', 0, 1, 1, '2026-01-01', NULL,
  '2026-01-01' + INTERVAL seq MINUTE, NULL, '2026-01-01' + INTERVAL seq MINUTE, 1, 1, 1, 1, 1, 1, 1,
  1, 1, 1, 1, 1, 1, 1, seq % 100 <> 0, '2026-01-01' FROM seq_1_to_3000;
UPDATE attempts SET ended_at = '2026-01-02';
ANALYZE TABLE job_efficiency_records, attempts;
"""


async def test_no_query_reads_a_table_from_end_to_end(mysql: Schema) -> None:
    store = await Store.open(mysql.address())
    mysql.query(MANY_ROWS + RECORDS)
    row = (await store.look_up(table.ended_attempts([7])))[0]
    await store.close()
    recent = at(3600 * 36)
    queries = [
        table.unfinished(100, 200),
        table.ended_attempts([7, 8, 9]),
        table.attempts_of_jobs([7, 8, 9]),
        table.progress_of([7, 8, 9]),
        table.failures_since({7: None, 8: at(0), 9: at(1)}),
        table.next_of_workflow(row, at(0), at(3600)),
        table.records_of_job("7_1", 100),
        table.records_since(recent, 100),
        table.ended_since(recent),
    ]
    reader = connect(mysql.address())
    for query in queries:
        steps = reader.all(Query(f"EXPLAIN {query.sql}", query.values))
        assert steps
        scanned = [step for step in steps if step["type"] in SCANS and step["table"]]
        assert scanned == [], query.sql
    newest = reader.all(Query(f"EXPLAIN {table.newest_attempt().sql}"))
    assert newest[0]["Extra"] == "Select tables optimized away"
    reader.close()


async def test_the_next_of_a_workflow_is_found_among_many_of_its_user(mysql: Schema) -> None:
    """A user who submits each job under a name of its own costs no walk over all of them."""
    store = await Store.open(mysql.address())
    mine = "UPDATE jobs SET user = 'u7', name = CONCAT('n', id); ANALYZE TABLE jobs;"
    mysql.query(MANY_ROWS + RECORDS + mine)
    row = (await store.look_up(table.ended_attempts([7])))[0]
    await store.close()
    query = table.next_of_workflow(row, at(0), at(3600))
    reader = connect(mysql.address())
    steps = reader.all(Query(f"EXPLAIN {query.sql}", query.values))
    reader.close()
    (jobs,) = (step for step in steps if step["table"] == "jobs")
    assert (jobs["key"], jobs["rows"]) == ("ix_jobs_workflow", "1")


async def test_progress_from_before_an_upgrade_leaves_its_first_unknown(scene: Scene) -> None:
    """Revision 0003 kept the newest progress alone: that is no start-up of three days."""
    job = await scene.submit()
    first = await scene.start(job, 0, 100)
    await scene.progress(first, 160, 0)
    await _forget_first(scene)
    await scene.progress(first, 90_000, 900)
    await scene.progress(first, 90_060, 960)
    await scene.crash(first, 90_065)
    await scene.decide(job, first, 90_067)
    await scene.end(first, 90_070)
    second = await scene.start(job, 1, 90_080)
    await scene.progress(second, 90_130, 600)
    parts = (await scene.turn(91_000))["7", 0].parts
    assert (parts.starting, parts.productive, parts.lost) == (None, None, None)
    assert (parts.restart, parts.saved, parts.complete) == (50, BASELINE - 65, True)


async def test_an_attempt_that_was_over_before_an_upgrade_did_not_die_while_it_started(
    scene: Scene,
) -> None:
    second = await a_recovery(scene)
    await _forget_first(scene)
    await scene.progress(second, 1130, 600)
    record = (await scene.turn(1300))["7", 0]
    assert (record.parts.starting, record.parts.productive) == (None, None)
    assert record.failed_at == at(1065)


async def _forget_first(scene: Scene) -> None:
    """The rows of log_positions as the upgrade from 0003 has left them."""
    async with scene.store._transaction("testing") as db:
        gone = {"first_progress_at": None, "first_step": None}
        await db.execute(update(log_positions).values(gone))
