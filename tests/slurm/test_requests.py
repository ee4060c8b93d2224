"""What people ask of a running service, on a real Slurm, by the commands that they type."""

from __future__ import annotations

from ajrd.model import DecisionState, Verb
from ajrd.store.history import JobHistory
from tests.service import Service, until
from tests.slurm.jobs import CRASHING, HEALTHY, REQUEUE

WAIT = ("--reason", "a test", "--wait", "60")


def known(service: Service, job_id: str) -> JobHistory:
    """The history, once the store has the first attempt."""

    def told() -> JobHistory | None:
        history = service.history(job_id)
        return history if history and history.attempts else None

    return until("the attempt to be known", told)


def crashed_while_paused(service: Service) -> str:
    """A paused job whose crash has been read."""
    gate = service.folder / "gate"
    wait = f"#!/bin/bash\nuntil [ -e {gate} ]; do sleep 0.1; done\n"
    job_id = service.submit(wait + CRASHING[12:], REQUEUE)
    service.await_state(job_id, "RUNNING")
    known(service, job_id)
    assert service.ajrd("pause", job_id, *WAIT).returncode == 0
    gate.touch()
    until("the crash to be read", lambda: known(service, job_id).attempts[0].anomalies)
    return job_id


def test_a_healthy_job_is_requeued_when_somebody_wants_it(service: Service) -> None:
    job_id = service.submit(HEALTHY, REQUEUE)
    service.await_state(job_id, "RUNNING|None|0|")
    known(service, job_id)
    done = service.ajrd("requeue", job_id, *WAIT)
    assert done.returncode == 0, done.stderr
    assert "asked for by root (a test): requeue 1 of 1" in done.stdout
    assert "converged: Slurm was seen to run the next attempt" in done.stdout
    service.await_state(job_id, "RUNNING|None|1|")
    decision = known(service, job_id).attempts[0].decision
    assert decision is not None
    assert (decision.verb, decision.branch) == (Verb.REQUEUE, "operator")
    said = service.slurm("squeue", "-h", "-j", job_id, "-O", "admin_comment:200")
    assert "asked for by root (a test): requeue 1 of 1" in said


def test_a_paused_job_that_crashes_is_left_alone_until_it_is_resumed(service: Service) -> None:
    job_id = crashed_while_paused(service)
    marker = service.submit(CRASHING, REQUEUE)
    service.await_state(marker, "RUNNING|None|1|")
    assert service.state(job_id) == "RUNNING|None|0|"
    assert known(service, job_id).attempts[0].decision is None
    assert "the job is paused by root (a test)" in service.ajrd("explain", job_id).stdout
    assert service.ajrd("resume", job_id, *WAIT).returncode == 0
    service.await_state(job_id, "RUNNING|None|1|")


def test_what_slurm_forbids_is_refused_with_a_reason(service: Service) -> None:
    job_id = service.submit(HEALTHY, REQUEUE, "--no-requeue")
    service.await_state(job_id, "RUNNING")
    known(service, job_id)
    done = service.ajrd("requeue", job_id, *WAIT)
    assert done.returncode == 4
    assert f"scontrol update jobid={job_id} requeue=1" in done.stdout
    assert service.ajrd("release", job_id, *WAIT).returncode == 4
    assert service.state(job_id) == "RUNNING|None|0|"


def test_a_decision_that_waits_for_a_suspended_job_is_given_up(service: Service) -> None:
    """It would wait for as long as the job is suspended. Paused meanwhile: nothing may hurry it."""
    job_id = crashed_while_paused(service)
    service.slurm("scontrol", "suspend", job_id)
    service.await_state(job_id, "SUSPENDED")
    assert service.ajrd("resume", job_id, *WAIT).returncode == 0
    until("a decision", lambda: known(service, job_id).attempts[0].decision)
    assert service.ajrd("abandon", job_id, *WAIT).returncode == 0
    ended = known(service, job_id).attempts[0].decision
    assert ended is not None
    assert (ended.state, ended.outcome) == (DecisionState.ABANDONED, "abandoned_by_request")
    service.slurm("scontrol", "resume", job_id)
    service.await_state(job_id, "RUNNING|None|0|")
