"""Of what hooks tell, what makes the loop hurry and what is evidence on which attempt."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from ajrd.errors import StoreUnavailable
from ajrd.hooks.watch import HookWatch
from ajrd.judgement import Judgement
from ajrd.model import JobInfo
from ajrd.recovery.tracking import new_job, opened
from ajrd.store.address import Address
from ajrd.store.records import AnomalyRecord, AttemptRecord, JobRecord
from ajrd.store.store import Store
from tests.unit.samples import at, directive, job

XID = "NVRM: Xid (PCI:0000:3b:00): 79, pid=1, GPU has fallen off the bus."
OOM = "Memory cgroup out of memory: Killed process 4711 (python) total-vm:1kB"
OOM_OF = "oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/system.slice/slurmstepd/job_{}/step_0"
OWN = frozenset({os.geteuid()})


class ForgetfulStore(Store):
    """One that is away when the test says so."""

    away = False

    async def record_evidence(self, *args: object, **keys: object) -> list[AnomalyRecord]:
        if self.away:
            raise StoreUnavailable("the test says so")
        return await super().record_evidence(*args, **keys)  # type: ignore[arg-type]


@dataclass
class Place:
    """A watch on one folder, and what the loop was told."""

    folder: Path
    store: ForgetfulStore
    rules: Judgement
    hurried: int = 0
    learned: list[AnomalyRecord] = field(default_factory=list)
    heard: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = self.anew()

    def anew(self) -> HookWatch:
        watch = HookWatch(
            [str(self.folder)], OWN, self.store, self.rules, lambda: at(100), self.hurry
        )
        watch.learn = lambda _attempt, new, _pulse: self.learned.extend(new)
        watch.hear = lambda attempt, _seen, _pulse: self.heard.append(attempt)
        return watch

    def hurry(self) -> None:
        self.hurried += 1

    def put(self, event: str, *lines: tuple[datetime, str], number: int = 7) -> Path:
        """A message that was written at 60 s."""
        path = self.folder / f"{number}.{event}.{len([*self.folder.iterdir()])}"
        text = "".join(f"{moment.timestamp():.6f} {line}\n" for moment, line in lines)
        path.write_text(f"ajrd-hook 1\nevent={event}\njob={number}\nnode=n1\n\n{text}")
        os.utime(path, (at(60).timestamp(),) * 2)
        return path

    async def attend(self, index: int = 0, began: float = 10) -> AttemptRecord:
        """An attempt of job 7."""
        seen = job(start_time=at(began), restarts=index)
        record = await self._record(seen)
        attempt = await self.store.save_attempt(opened(record, seen, at(began)), at(0), "started")
        await self.watch.attend(record, seen, attempt, directive())
        return attempt

    async def _record(self, seen: JobInfo) -> JobRecord:
        known = await self.store.latest_job("c", seen.job_id)
        new = new_job(seen, "c", managed=True, note="", now=at(0))
        return known or await self.store.add_job(new, "seen")

    async def look(self) -> list[tuple[str, str]]:
        """What the store has of the evidence: place and text."""
        await self.watch.drain(next(iter(self.watch._known), 0), 20)
        found = [record.anomaly for record in self.learned]
        return [(anomaly.source, anomaly.finding.text) for anomaly in found]


@pytest.fixture(scope="module")
def rules() -> Judgement:
    return Judgement(())


@pytest.fixture
async def place(tmp_path: Path, rules: Judgement) -> AsyncIterator[Place]:
    folder = tmp_path / "spool"
    folder.mkdir()
    store = await ForgetfulStore.open(Address(f"sqlite:///{tmp_path}/a.sqlite", timeout=60))
    assert isinstance(store, ForgetfulStore)
    yield Place(folder, store, rules)
    await store.close()


@pytest.mark.parametrize("event", ["start", "end", "node_end", "kernel"])
async def test_whatever_is_told_of_a_job_of_ours_makes_the_loop_look(
    place: Place, event: str
) -> None:
    await place.attend()
    message = place.put(event)
    await place.look()
    assert place.hurried
    assert not message.exists()


async def test_the_loop_looks_again_until_slurm_shows_the_end_too(place: Place) -> None:
    """EpilogSlurmctld runs while the job is still COMPLETING."""
    attempt = await place.attend()
    place.put("end")
    hurried = [0]
    for _ in range(3):
        await place.look()
        hurried.append(place.hurried)
    assert hurried == sorted(set(hurried))
    ended = replace(attempt, ended_at=at(90))
    seen = job(start_time=at(10))
    await place.watch.attend(await place._record(seen), seen, ended, directive())
    await place.look()
    assert place.hurried == hurried[-1]


async def test_other_jobs_are_nobodys_hurry(place: Place) -> None:
    await place.attend()
    message = place.put("end", number=8)
    await place.look()
    assert place.hurried == 0
    assert not message.exists()


async def test_a_line_of_the_kernel_is_evidence_with_its_node(place: Place) -> None:
    attempt = await place.attend()
    place.put("kernel", (at(50), XID))
    assert await place.look() == [("epilog:n1", XID)]
    (record,) = place.learned
    assert record.attempt == attempt.id
    assert record.anomaly.finding.facts["node"] == "n1"
    assert not [*place.folder.iterdir()]


async def test_what_the_kernel_said_before_the_attempt_is_not(place: Place) -> None:
    await place.attend(began=55)
    place.put("kernel", (at(50), XID))
    assert await place.look() == []
    assert not [*place.folder.iterdir()]


async def test_a_message_is_about_the_attempt_that_had_begun_when_it_was_written(
    place: Place,
) -> None:
    first = await place.attend(0, began=10)
    await place.attend(1, began=70)
    place.put("kernel", (at(50), XID))
    await place.look()
    assert [record.attempt for record in place.learned] == [first.id]


async def test_an_attempt_that_was_left_still_gets_what_comes_late(place: Place) -> None:
    attempt = await place.attend()
    await place.watch.leave(attempt.id)
    place.put("kernel", (at(50), XID))
    assert await place.look() == [("epilog:n1", XID)]


@pytest.mark.parametrize(("number", "counts"), [(7, True), (8, False)])
async def test_memory_that_is_used_up_counts_for_the_job_that_the_kernel_names(
    place: Place, number: int, counts: bool
) -> None:
    await place.attend()
    place.put("kernel", (at(50), OOM), (at(50), OOM_OF.format(number)))
    assert (await place.look() == [("epilog:n1", OOM_OF.format(number))]) is counts


async def test_what_no_rule_on_nodes_knows_is_no_evidence(place: Place) -> None:
    """A program may be named as it likes, and the kernel names it when it ends it."""
    await place.attend()
    place.put("kernel", (at(50), "Killed process 1 (RuntimeError: CUDA error: unspecified)"))
    assert await place.look() == []


async def test_a_message_waits_for_its_attempt_and_then_for_the_store(place: Place) -> None:
    message = place.put("kernel", (at(50), XID))
    os.utime(message)
    await place.watch._round()
    assert message.exists()
    place.store.away = True
    await place.attend()
    assert await place.look() == []
    assert place.heard
    assert message.exists()
    place.store.away = False
    assert await place.look() == [("epilog:n1", XID)]
    assert not message.exists()


async def test_a_message_that_is_read_again_after_a_crash_is_recorded_once(place: Place) -> None:
    attempt = await place.attend()
    text = place.put("kernel", (at(50), XID)).read_text()
    await place.look()
    again = place.put("kernel")
    again.write_text(text)
    os.utime(again, (at(60).timestamp(),) * 2)
    await place.look()
    assert len(await place.store.anomalies(attempt.id)) == 1


async def test_a_message_of_a_job_that_nobody_knows_goes_after_a_while(place: Place) -> None:
    message = place.put("kernel", (at(50), XID), number=8)
    old = datetime.now().astimezone() - timedelta(hours=1)
    os.utime(message, (old.timestamp(),) * 2)
    await place.watch._round()
    assert not message.exists()


async def test_a_missing_folder_stops_nobody(place: Place) -> None:
    attempt = await place.attend()
    place.folder.rmdir()
    assert await place.watch.drain(attempt.id, 20)
