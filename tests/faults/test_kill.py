"""kill -9 between any two steps of a recovery, then a restart: recovered once, and not held."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from ajrd.daemon import FAULT_VARIABLE
from ajrd.model import ActionState, DecisionState, Step, Verb
from ajrd.recovery.sequence import STEPS
from ajrd.store.history import AttemptHistory
from tests.service import Service, until
from tests.slurm.jobs import CRASHING, HEALTHY, REQUEUE, SINGLETON

Make = Callable[..., Service]

MOMENTS = ("before_claim", "claimed", "ran", "finished")


def moments(verb: Verb) -> list[str]:
    """Every checkpoint that a decision passes."""
    return ["decision_written", *(f"{moment}:{step}" for step in STEPS[verb] for moment in MOMENTS)]


def converged(service: Service, job_id: str) -> AttemptHistory | None:
    """The first attempt, once the decision on it has converged."""
    history = service.history(job_id)
    first = history.attempts[0] if history and history.attempts else None
    closed = first and first.decision and first.decision.state is not DecisionState.OPEN
    return first if closed else None


def die_and_restart(service: Service, checkpoint: str, happen: Callable[[], str]) -> str:
    """Starts the service so that it dies at the checkpoint, and starts it again."""
    service.start(**{FAULT_VARIABLE: checkpoint})
    job_id = happen()
    assert service.wait() == -signal.SIGKILL, f"{checkpoint} was never reached"
    service.start()
    return job_id


@pytest.mark.parametrize("checkpoint", moments(Verb.REQUEUE))
def test_a_requeue_goes_on_after_kill_9(make_service: Make, checkpoint: str) -> None:
    service = make_service()
    script = f"#!/bin/bash\n[ $SLURM_RESTART_COUNT ] || {CRASHING.splitlines()[1]}\nsleep 300\n"
    job_id = die_and_restart(service, checkpoint, lambda: service.submit(script, REQUEUE))
    first = until("the decision to converge", lambda: converged(service, job_id))
    assert service.state(job_id) == "RUNNING|None|1|"
    assert first.decision is not None
    assert first.decision.outcome == "successor_started"
    kills = [a for a in first.decision.actions if a.step is Step.REQUEUE_HOLD]
    assert [a.state for a in kills] == [ActionState.DONE]


@pytest.mark.parametrize("checkpoint", moments(Verb.CHAIN))
def test_a_chain_goes_on_after_kill_9(make_service: Make, checkpoint: str) -> None:
    service = make_service()
    chain = ("--job-name=chain", "--dependency=singleton", SINGLETON)

    submitted: list[str] = []

    def submit_both() -> str:
        submitted.append(service.submit(f"#!/bin/bash\nsleep 1\n{CRASHING}", *chain))
        submitted.append(service.submit(HEALTHY, *chain, "--hold"))
        return submitted[0]

    job_id = die_and_restart(service, checkpoint, submit_both)
    service.await_state(submitted[1], "RUNNING|None|0|")
    until("the decision to converge", lambda: converged(service, job_id))
    assert service.state(job_id).startswith("CANCELLED")
    assert service.state(job_id).endswith("|0|")


@pytest.mark.parametrize("checkpoint", moments(Verb.STOP))
def test_a_stop_goes_on_after_kill_9(make_service: Make, checkpoint: str) -> None:
    service = make_service()
    none_left = '--comment={"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 0}}'
    job_id = die_and_restart(service, checkpoint, lambda: service.submit(CRASHING, none_left))
    first = until("the decision to converge", lambda: converged(service, job_id))
    service.await_state(job_id, "CANCELLED")
    assert service.state(job_id).endswith("|0|")
    assert first.decision is not None
    assert first.decision.outcome == "stopped"
