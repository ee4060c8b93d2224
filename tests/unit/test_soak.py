"""The soak's reckoning must see a wrong recovery when there is one."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from ajrd.model import HoldBy, JobState, ResumeMode
from bench.soak.ledger import Ledger, read_ledger
from bench.soak.population import Act, Plan, population
from bench.soak.reckoning import Count, Fate, Submission, Wish, reckon
from bench.soak.setback import requeued_by_slurm, set_back
from tests.unit.samples import job

ONCE = "started 0 stay 10.0\nbroke 0 stay 20.0\n"
AGAIN = "started 1 finish 30.0\n"
WELL = "finished 1 finish 40.0\n"


def plan(number: int = 1, **changes: Any) -> Plan:
    values: dict[str, Any] = {
        "number": number,
        "name": "train",
        "mode": ResumeMode.REQUEUE,
        "budget": 1,
        "acts": (Act.STAY, Act.FINISH),
        "steps": (10, 10),
        "crash": "Bus error (core dumped)",
    }
    return Plan(**values | changes)


def fates(text: str, submission: Submission | None = None, **seen: Any) -> list[tuple[Wish, Fate]]:
    """What is reckoned of one job with this ledger; ``seen`` is how Slurm shows it at the end."""
    final = [job(**seen)] if seen else []
    submission = submission or Submission(plan(), "7", at=5.0)
    counts = reckon([submission], [read_ledger("1.7", text)], final)
    return [(count.wish, count.fate) for count in counts]


def test_a_recovery_whose_successor_ran_is_done() -> None:
    assert fates(ONCE + AGAIN + WELL) == [(Wish.REQUEUE, Fate.DONE)]


def test_a_recovery_without_successor_is_lost() -> None:
    assert fates(ONCE) == [(Wish.REQUEUE, Fate.LOST)]


def test_nothing_is_wanted_of_a_job_that_its_user_has_cancelled() -> None:
    assert fates(ONCE, Submission(plan(), "7", at=5.0, meddled_at=15.0)) == []


def test_a_broken_attempt_that_stays_at_the_limit_must_be_stopped() -> None:
    spent = Submission(plan(budget=0), "7", at=5.0)
    assert fates(ONCE, spent) == [(Wish.STOP, Fate.DONE)]
    assert fates(ONCE, spent, job_id="7") == [(Wish.STOP, Fate.LOST)]


@pytest.mark.parametrize(
    ("text", "submission"),
    [
        pytest.param(
            "started 0 stay 10.0\n" + AGAIN + WELL,
            Submission(plan(), "7", at=5.0),
            id="a healthy attempt was requeued",
        ),
        pytest.param(
            "started 0 stay 10.0\n", Submission(plan(), "7", at=5.0), id="a healthy one was ended"
        ),
        pytest.param(
            "started 0 finish 10.0\nfinished 0 finish 20.0\n" + AGAIN + WELL,
            Submission(plan(), "7", at=5.0),
            id="one that had finished ran again",
        ),
        pytest.param(
            "started 0 exit 10.0\nbroke 0 exit 20.0\n" + AGAIN + WELL,
            Submission(plan(budget=0), "7", at=5.0),
            id="beyond the budget",
        ),
        pytest.param(
            ONCE + AGAIN + WELL,
            Submission(plan(mode=None), "7", at=5.0),
            id="it did not ask for anything",
        ),
        pytest.param(
            ONCE + AGAIN + WELL,
            Submission(plan(), "7", at=5.0, meddled_at=20.0, cancelled_at=21.0),
            id="its user had cancelled it",
        ),
        pytest.param(
            "started 0 finish 10.0\nfinished 0 finish 20.0\n",
            Submission(plan(mode=ResumeMode.SINGLETON, held=True), "7", at=5.0),
            id="its user held it",
        ),
    ],
)
def test_what_must_not_be_is_seen(text: str, submission: Submission) -> None:
    assert (Wish.REQUEUE, Fate.DOUBLE) in fates(text, submission)


def test_a_hold_of_ajrds_that_remains_is_seen() -> None:
    held: dict[str, Any] = {"state": JobState.PENDING, "held": HoldBy.REQUEUE_HOLD, "restarts": 1}
    assert (Wish.REQUEUE, Fate.HELD) in fates(ONCE, **held)


def chain(*ledgers: Ledger, **second: Any) -> list[Count]:
    """Two jobs of a chain, 7 and 8."""
    mode = ResumeMode.SINGLETON
    first = Submission(plan(mode=mode, budget=0), "7", at=5.0)
    following = Submission(plan(2, mode=mode, budget=0), "8", at=6.0, **second)
    return reckon([following, first], ledgers, [])


def test_a_chain_must_go_on_with_its_next_job() -> None:
    first = read_ledger("1.7", ONCE)
    after = read_ledger("2.8", "started 0 finish 30.0\nfinished 0 finish 40.0\n")
    assert [(c.wish, c.fate) for c in chain(first)] == [(Wish.CHAIN, Fate.LOST)]
    assert [(c.wish, c.fate) for c in chain(first, after)] == [(Wish.CHAIN, Fate.DONE)]
    assert chain(first, meddled_at=8.0) == []


def test_a_job_that_slurm_has_forgotten_something_of_is_told() -> None:
    before = [job(job_id="1", restarts=1), job(job_id="2"), job(job_id="3")]
    before.append(job(job_id="4", state=JobState.COMPLETED))
    after = [job(job_id="1"), job(job_id="2"), job(job_id="4")]
    assert set_back(before, after) == {"1", "3", "4"}


def test_what_slurm_requeues_by_itself_costs_no_budget() -> None:
    """A second life of a healthy attempt, and the whole budget after it."""
    submission = Submission(plan(), "7", at=5.0)
    ledger = read_ledger(
        "1.7",
        "started 0 stay 10.0\nstarted 1 stay 20.0\nbroke 1 stay 30.0\nstarted 2 finish 40.0\n"
        "finished 2 finish 50.0\n",
    )
    [count] = reckon([submission], [ledger], [], by_slurm={"7": [15.0]})
    assert (count.wish, count.fate) == (Wish.REQUEUE, Fate.DONE)
    assert Fate.DOUBLE in {count.fate for count in reckon([submission], [ledger], [])}
    late = reckon([submission], [ledger], [], by_slurm={"7": [35.0]})
    assert Fate.DOUBLE in {count.fate for count in late}


def test_slurms_own_requeues_are_found_in_its_log() -> None:
    log = (
        "[1970-01-01T00:00:12.500] Batch JobId=7 missing from batch node n6"
        " (not found BatchStartTime after startup), Requeuing job\n"
        "[1970-01-01T00:00:13.000] Requeuing JobId=7\n"
        "[1970-01-01T00:00:14.000] requeue job JobId=8 due to failure of node n6\n"
        "[1970-01-01T00:00:15.000] Batch JobId=9 missing from batch node n6 (not found)\n"
    )
    found = requeued_by_slurm(log)
    ahead = datetime.fromtimestamp(0).astimezone().utcoffset()
    assert ahead is not None
    shift = ahead.total_seconds()
    assert found == {"7": [12.5 - shift], "8": [14.0 - shift]}


def test_what_slurm_has_forgotten_is_nobodys_fault() -> None:
    submission, ledger = Submission(plan(), "7", at=5.0), read_ledger("1.7", ONCE)
    assert reckon([submission], [ledger], [], {"7"}) == []


def test_a_seed_gives_the_same_jobs() -> None:
    first = population(7, 50, 600)
    assert first == population(7, 50, 600)
    assert sum(len(group.plans) for group in first) == 50
