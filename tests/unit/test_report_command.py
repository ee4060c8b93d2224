"""``ajrd report`` on a store that was filled in observe mode."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ajrd.model import DecisionState, Progress, ReadPosition, Verb
from ajrd.recovery.tracking import new_job, opened
from ajrd.store.records import AttemptRecord, JobRecord
from ajrd.store.store import Store
from tests.database.samples import a_decision
from tests.unit.cli_store import HOSTILE, Place
from tests.unit.samples import job

NOW = datetime.now(UTC)
BEGAN = NOW - timedelta(days=3)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, mode="observe")


async def submitted(
    store: Store, job_id: str, name: str, when: datetime
) -> tuple[JobRecord, AttemptRecord]:
    seen = job(job_id=job_id, raw_id=int(job_id), name=name, submit_time=when, start_time=when)
    record = await store.add_job(new_job(seen, "c", managed=True, note="", now=when), "seen")
    return record, await store.save_attempt(
        replace(opened(record, seen, when), gpus=4), when, "attempt_started"
    )


async def broken(
    store: Store,
    job_id: str,
    name: str,
    cause: str,
    verb: Verb = Verb.REQUEUE,
    state: str = "FAILED",
) -> tuple[JobRecord, AttemptRecord]:
    """A job with a decision that was only written down, whose attempt then ended."""
    record, attempt = await submitted(store, job_id, name, BEGAN)
    decision = replace(
        a_decision(attempt, verb),
        state=DecisionState.OBSERVED,
        created_at=BEGAN,
        closed_at=BEGAN,
        cause=cause,
    )
    await store.write_decision(decision, record, attempt, [])
    ended = replace(attempt, state=state, ended_at=BEGAN + timedelta(seconds=9))
    return record, await store.save_attempt(ended, BEGAN, "attempt_ended")


async def fill(place: Place) -> None:
    store = await place.open()
    _record, attempt = await broken(store, "1", "a", "xid")
    later = BEGAN + timedelta(hours=2)
    again = replace(attempt, id=0, idx=1, state="RUNNING", started_at=later, ended_at=None)
    await store.save_attempt(again, later, "attempt_started")
    await broken(store, "2", "b", "xid")
    await submitted(store, "3", "b", BEGAN + timedelta(hours=1))
    await submitted(store, "4", "c", BEGAN + timedelta(hours=1))
    _record, going = await broken(store, "5", HOSTILE, "segfault")
    position = ReadPosition("/w/log", 1, 2, 3, 4, "ab")
    much_later = BEGAN + timedelta(minutes=9)
    await store.record_evidence(going, [], position, Progress(1, 1, "step 2", 2), much_later)
    await broken(store, "6", "d", "license", Verb.STOP)
    await store.close()


async def test_the_report_compares_with_what_happened(place: Place) -> None:
    await fill(place)
    done = place.run("report")
    assert done.exit_code == 0
    words = [line.split() for line in done.output.splitlines()]
    assert ["xid", "requeue", "2", "2", "0", "0", "0", "0", "03:00:00", "12.0"] in words
    assert ["license", "stop", "1", "1", "0", "0", "0", "0", "00:00:00", "0.0"] in words
    assert ["segfault", "requeue", "1", "0", "0", "1", "0", "0", "00:00:00", "0.0"] in words
    assert "75% agreement; acting would have saved 03:00:00 (12.0 GPU-hours)" in done.output
    assert any(line[:1] == ["5"] and line[-2:] == ["wrong", "progressed"] for line in words)


async def test_the_report_in_json_has_every_decision(place: Place) -> None:
    await fill(place)
    told = json.loads(place.run("report", "--json").output)
    assert told["total"]["decisions"] == 4
    assert told["total"]["agreement"] == 0.75
    fates = {each["job_id"]: (each["fate"], each["view"]) for each in told["decisions"]}
    assert fates == {
        "1": ("requeued", "agrees"),
        "2": ("resubmitted", "agrees"),
        "5": ("progressed", "wrong"),
        "6": ("ended", "agrees"),
    }


async def test_what_came_too_late_or_before_does_not_count(place: Place) -> None:
    await fill(place)
    told = json.loads(place.run("report", "--json", "--within", "0.5").output)
    assert told["total"]["unknown"] == 2
    assert json.loads(place.run("report", "--json", "--since", "now-1day").output)["causes"] == []


async def test_without_decisions_it_says_so(place: Place) -> None:
    await (await place.open()).close()
    done = place.run("report")
    assert (done.exit_code, "no decision" in done.output) == (0, True)
