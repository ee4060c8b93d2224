"""Jobs that ajrd must not touch, on a real Slurm, and the words in which it says why."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ajrd.model import DecisionState, Verb
from ajrd.store.history import AttemptHistory
from tests.service import Service, until
from tests.slurm.jobs import CRASHING, REQUEUE, without_comment

Make = Callable[..., Service]


def decided(service: Service, job_id: str) -> AttemptHistory:
    """The first attempt of a job once a decision on it is closed."""

    def closed() -> AttemptHistory | None:
        history = service.history(job_id)
        first = history.attempts[0] if history and history.attempts else None
        decision = first.decision if first else None
        return first if decision and decision.state is not DecisionState.OPEN else None

    return until(f"a decision on job {job_id}", closed)


def untouched(service: Service, job_id: str) -> None:
    """The job runs its first attempt, and nothing was written to it."""
    assert service.state(job_id) == "RUNNING|None|0|"
    assert "ajrd" not in service.slurm("squeue", "-h", "-j", job_id, "-O", "admin_comment:200")


def test_a_job_without_a_directive(service: Service) -> None:
    plain = service.submit(without_comment(CRASHING))
    marker = service.submit(CRASHING, REQUEUE)
    service.await_state(marker, "RUNNING|None|1|")
    untouched(service, plain)
    assert 'the job comment has no "APS" directive' in service.status(plain)


def test_a_job_in_another_partition(make_service: Make) -> None:
    service = make_service(partitions=["main"])
    service.start()
    job_id = service.submit(CRASHING, REQUEUE, "--partition=other")
    decision = decided(service, job_id).decision
    assert decision is not None
    assert (decision.verb, decision.outcome) == (Verb.LEAVE, "left_alone")
    untouched(service, job_id)
    assert "partition other is not among those that ajrd may act in (main)" in service.status(
        job_id
    )


def test_a_job_in_observe_mode(make_service: Make) -> None:
    service = make_service(mode="observe")
    service.start()
    job_id = service.submit(CRASHING, REQUEUE)
    decision = decided(service, job_id).decision
    assert decision is not None
    assert (decision.verb, decision.state) == (Verb.REQUEUE, DecisionState.OBSERVED)
    untouched(service, job_id)
    assert "observe mode: nothing is done" in service.status(job_id)


def test_a_job_that_forbids_requeue(service: Service) -> None:
    job_id = service.submit(CRASHING, REQUEUE, "--no-requeue")
    decision = decided(service, job_id).decision
    assert decision is not None
    assert decision.verb is Verb.LEAVE
    untouched(service, job_id)
    assert f"scontrol update jobid={job_id} requeue=1" in service.status(job_id)


def test_a_job_that_its_user_cancelled(service: Service) -> None:
    script = "#!/bin/bash\ntrap 'echo Segmentation fault; exit 139' TERM\nsleep 300 & wait\n"
    job_id = service.submit(script, REQUEUE)
    service.await_state(job_id, "RUNNING")
    until("the attempt to be known", lambda: (h := service.history(job_id)) and h.attempts)
    service.slurm("scancel", job_id)
    service.await_state(job_id, "CANCELLED")
    until(
        "the end to be seen",
        lambda: (h := service.history(job_id)) and h.attempts[0].attempt.ended_at,
    )
    marker = service.submit(CRASHING, REQUEUE)
    service.await_state(marker, "RUNNING|None|1|")
    assert service.state(job_id).startswith("CANCELLED")
    assert service.state(job_id).endswith("|0|")
    history = service.history(job_id)
    assert history is not None
    decision = history.attempts[0].decision
    assert decision is None or (decision.verb is Verb.LEAVE and "cancelled by" in decision.reason)


@pytest.mark.parametrize(
    ("command", "words"), [("uhold", "held by its user"), ("hold", "held by an administrator")]
)
def test_a_job_that_somebody_holds(service: Service, command: str, words: str) -> None:
    job_id = service.submit(CRASHING, REQUEUE, "--begin=now+1hour")
    service.slurm("scontrol", command, job_id)
    until("the hold to be seen", lambda: words in service.status(job_id))
    marker = service.submit(CRASHING, REQUEUE)
    service.await_state(marker, "RUNNING|None|1|")
    assert service.state(job_id).startswith("PENDING|JobHeld")


def test_a_job_that_an_administrator_requeued_and_holds(service: Service) -> None:
    script = f"#!/bin/bash\nsleep 2\n{CRASHING}"
    job_id = service.submit(script, REQUEUE)
    service.await_state(job_id, "RUNNING")
    until("the attempt to be known", lambda: (h := service.history(job_id)) and h.attempts)
    service.slurm("scontrol", "requeuehold", job_id)
    marker = service.submit(CRASHING, REQUEUE)
    service.await_state(marker, "RUNNING|None|1|")
    assert service.state(job_id) == "PENDING|job requeued in held state|1|"


MALFORMED = {
    "not JSON": ('{"APS": {"auto_resume_mode": requeue}}', "not JSON"),
    "unknown mode": ('{"APS": {"auto_resume_mode": "restart"}}', "it must be"),
    "mode of a wrong type": ('{"APS": {"auto_resume_mode": 1}}', "must be a string"),
    "negative": (
        '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": -1}}',
        "must not be negative",
    ),
    "huge": (
        '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 99999999999999999999}}',
        "is larger than",
    ),
    "twice": (
        '{"APS": {"auto_resume_mode": "requeue", "auto_resume_mode": "requeue"}}',
        "stands twice",
    ),
    "deep": ('{"APS": ' + "[" * 200 + "]" * 200 + "}", "nested deeper"),
}


def test_malformed_directives_are_left_alone_and_explained(service: Service) -> None:
    """Longer comments than 1,024 bytes are refused by sbatch; the unit tests have them."""
    jobs = {
        name: service.submit(f"#!/bin/bash\n#SBATCH --comment='{comment}'\n{CRASHING[12:]}")
        for name, (comment, _words) in MALFORMED.items()
    }
    marker = service.submit(CRASHING, REQUEUE)
    service.await_state(marker, "RUNNING|None|1|")
    for name, job_id in jobs.items():
        text = service.status(job_id)
        assert "not managed: malformed directive" in text
        assert MALFORMED[name][1] in text
        assert "of the comment)" in text
        assert service.state(job_id) == "RUNNING|None|0|"
        said = service.slurm("squeue", "-h", "-j", job_id, "-O", "admin_comment:300")
        assert "malformed directive" in said
