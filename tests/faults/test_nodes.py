"""Nodes die under running jobs, and others requeue a job in the middle of its recovery."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from ajrd.daemon import STOP_VARIABLE
from ajrd.model import DecisionState
from ajrd.recovery.driver import FRESH
from ajrd.store.history import JobHistory
from labcluster.cluster import Lab
from tests.faults.labs import CRASHES_WHEN_TOLD, kill, mend, own_lab, pass_by
from tests.faults.test_slurmctld import crash, started_twice, submitted
from tests.service import Service, until
from tests.slurm.jobs import HEALTHY, REQUEUE

Make = Callable[..., Service]

BLAMES_ITS_NODE = CRASHES_WHEN_TOLD.replace(
    "Rank0: (1) segmentation fault: artificial segfault", "srun: error: Node failure on n1"
)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab that soon takes a silent node for dead."""
    with own_lab(2, SlurmdTimeout="3", MessageTimeout="2") as lab:
        yield lab


@pytest.fixture(autouse=True)
def mended(lab: Lab, make_service: Make) -> Iterator[None]:
    yield
    mend(lab)
    service = make_service()
    until("the nodes to be back", lambda: service.slurm("sinfo", "-h", "-p", "main", "-t", "idle"))


def attempts(service: Service, job_id: str, count: int) -> JobHistory:
    """The history of a job once it has so many attempts."""

    def there() -> JobHistory | None:
        history = service.history(job_id)
        return history if history and len(history.attempts) >= count else None

    return until(f"{count} attempts of job {job_id}", there)


def outcome(service: Service, job_id: str) -> str:
    """How the decision on the first attempt ended."""

    def closed() -> str | None:
        decision = attempts(service, job_id, 1).attempts[0].decision
        return decision.outcome if decision and decision.state is not DecisionState.OPEN else None

    return until("the decision to be closed", closed)


def start_at_once(service: Service, job_id: str) -> None:
    """Spares a job that was requeued the two minutes that Slurm lets it wait."""
    until("the kill to be over", lambda: service.state(job_id).startswith("PENDING|BeginTime"))
    service.slurm("scontrol", "update", f"JobId={job_id}", "StartTime=now+1")


def test_a_job_whose_node_died_with_it_comes_back_on_another(make_service: Make, lab: Lab) -> None:
    """The kill ends only when Slurm takes the node for dead: nobody there can confirm it."""
    service = make_service()
    service.start()
    job_id = service.submit(BLAMES_ITS_NODE, REQUEUE)
    attempts(service, job_id, 1)
    kill(lab, "n1")
    crash(service)
    service.await_state(job_id, "RUNNING|None|1|")
    assert outcome(service, job_id) == "successor_started"
    assert service.slurm("squeue", "-h", "-j", job_id, "-o", "%N|%x") == "n2|n1"
    started_twice(service)


def test_a_requeue_by_slurm_after_a_node_failure_costs_no_budget(
    make_service: Make, lab: Lab
) -> None:
    service = make_service()
    service.start()
    job_id = service.submit(HEALTHY, REQUEUE, "--requeue")
    attempts(service, job_id, 1)
    kill(lab, "n1")
    start_at_once(service, job_id)
    first, second = attempts(service, job_id, 2).attempts
    assert first.decision is None
    assert (first.attempt.state, second.attempt.nodes) == ("REQUEUED", "n2")
    with (service.folder / f"slurm-{job_id}.out").open("a") as output:
        output.write("Rank0: (1) segmentation fault: artificial segfault\n")
    service.await_state(job_id, "RUNNING|None|2|")


def test_a_node_failure_of_a_job_that_slurm_must_not_requeue(make_service: Make, lab: Lab) -> None:
    service = make_service()
    service.start()
    job_id = service.submit(HEALTHY, REQUEUE, "--no-requeue")
    attempts(service, job_id, 1)
    kill(lab, "n1")
    service.await_state(job_id, "NODE_FAIL")
    assert outcome(service, job_id) == "left_alone"
    assert "requeue is disabled for the job" in service.status(job_id)
    [only] = attempts(service, job_id, 1).attempts
    assert only.attempt.state == "NODE_FAIL"


@pytest.mark.parametrize(
    ("checkpoint", "ended"),
    [
        ("commit_before:claiming requeue_hold", "requeued_by_others"),
        ("looked:requeue_hold", "successor_started"),
    ],
)
def test_an_administrator_requeues_in_the_middle_of_it(
    make_service: Make, checkpoint: str, ended: str
) -> None:
    """ajrd slept through it: it must look again, and never kill what runs by then.

    A sleep shorter than FRESH it does not notice: then Slurm alone says what its command hits.
    """
    service = make_service()
    service.start(**{STOP_VARIABLE: checkpoint})
    job_id = submitted(service)
    crash(service)
    service.await_stop()
    service.slurm("scontrol", "requeue", job_id)
    start_at_once(service, job_id)
    service.await_state(job_id, "RUNNING|None|1|")
    pass_by(FRESH)
    service.wake()
    assert outcome(service, job_id) == ended
    attempts(service, job_id, 2)
    assert service.state(job_id) == "RUNNING|None|1|"
    started_twice(service)
