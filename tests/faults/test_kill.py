"""kill -9 at every durable step of a recovery, then a restart: recovered once, and not held.

The service dies before and after each commit to its database and each command to Slurm. A run
takes every moment of a requeue on one of the two databases, ``--full`` all moments on both.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

import pytest
from _pytest.mark import ParameterSet

from ajrd.daemon import FAULT_VARIABLE
from ajrd.model import Verb
from ajrd.recovery.sequence import STEPS
from labcluster.errors import LabError
from tests.faults.moments import LEASE, OF_A_REQUEUE, around, of_steps
from tests.faults.proof import assert_recovered, breaks, history_when
from tests.service import Service
from tests.slurm.jobs import CRASHING, HEALTHY, REQUEUE, SINGLETON

Make = Callable[..., Service]

KINDS = ("sqlite", "mariadb")
#: The steps without the announcement, which is that of a requeue.
AFTER_THE_WORDS = {verb: steps[1:] for verb, steps in STEPS.items()}


def on_both(moments: Sequence[str], every: int = 1) -> list[ParameterSet]:
    """Each moment on both databases; on one of them, in turns, only in a full run.

    ``every``: of so many moments one is in a run, for what a requeue already shows.
    """
    spread = []
    for number, moment in enumerate(moments):
        for place, kind in enumerate(KINDS):
            extra = (number // 2 + number) % 2 != place or number % every != 0
            spread.append(pytest.param(moment, kind, marks=[pytest.mark.full] if extra else []))
    return spread


@pytest.fixture
def make(make_service: Make, request: pytest.FixtureRequest) -> Make:
    """Makes a service on a database of a kind."""

    def made(kind: str, **options: object) -> Service:
        section = request.getfixturevalue("mysql").section() if kind == "mariadb" else None
        return make_service(database=section, **options)

    return made


def die_and_restart(service: Service, moment: str, happen: Callable[[], str]) -> str:
    """Starts the service so that it dies at a moment, and starts it again."""
    service.start(**{FAULT_VARIABLE: moment})
    job_id = happen()
    assert service.wait() == -signal.SIGKILL, f"{moment} was never reached"
    service.start()
    return job_id


@pytest.mark.parametrize(("moment", "kind"), on_both(OF_A_REQUEUE))
def test_a_requeue_goes_on_after_kill_9(make: Make, moment: str, kind: str) -> None:
    service = make(kind)
    job_id = die_and_restart(service, moment, lambda: service.submit(breaks(), REQUEUE))
    assert_recovered(service, job_id)


@pytest.mark.parametrize(("moment", "kind"), on_both(around("recording a read position")))
def test_reading_goes_on_after_kill_9(make: Make, moment: str, kind: str) -> None:
    service = make(kind)
    gate = service.folder / "gate"
    job_id = die_and_restart(service, moment, lambda: service.submit(breaks(first=gate), REQUEUE))
    gate.touch()
    assert_recovered(service, job_id)


@pytest.mark.parametrize(("moment", "kind"), on_both(of_steps(AFTER_THE_WORDS[Verb.CHAIN]), 2))
def test_a_chain_goes_on_after_kill_9(make: Make, moment: str, kind: str) -> None:
    service = make(kind)
    chain = ("--job-name=chain", "--dependency=singleton", SINGLETON)

    submitted: list[str] = []

    def submit_both() -> str:
        submitted.append(service.submit(f"#!/bin/bash\nsleep 1\n{CRASHING}", *chain))
        submitted.append(service.submit(HEALTHY, *chain, "--hold"))
        return submitted[0]

    job_id = die_and_restart(service, moment, submit_both)
    service.await_state(submitted[1], "RUNNING|None|0|")
    decision = history_when(service, job_id, "the decision to be over", 1).attempts[0].decision
    assert decision is not None
    assert decision.outcome == "chain_continues"
    assert service.state(job_id).startswith("CANCELLED")
    assert service.state(job_id).endswith("|0|")


@pytest.mark.parametrize(("moment", "kind"), on_both(of_steps(AFTER_THE_WORDS[Verb.STOP]), 2))
def test_a_stop_goes_on_after_kill_9(make: Make, moment: str, kind: str) -> None:
    service = make(kind)
    none_left = '--comment={"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 0}}'
    job_id = die_and_restart(service, moment, lambda: service.submit(CRASHING, none_left))
    decision = history_when(service, job_id, "the decision to be over", 1).attempts[0].decision
    assert decision is not None
    assert decision.outcome == "stopped"
    service.await_state(job_id, "CANCELLED")
    assert service.state(job_id).endswith("|0|")


@pytest.mark.parametrize(("moment", "kind"), on_both(around(*LEASE)))
def test_the_lease_of_the_dead_is_no_hindrance(make: Make, moment: str, kind: str) -> None:
    service = make(kind, slurm={"timeout": 2}, lease=5)
    if "taking" in moment:
        with pytest.raises(LabError):
            service.start(**{FAULT_VARIABLE: moment})
    else:
        service.start(**{FAULT_VARIABLE: moment})
        if "giving" in moment:
            service.terminate()
    assert service.wait() == -signal.SIGKILL
    service.start()
    assert [line["role"] for line in service.said("started")][-1:] == ["leader"]
    assert_recovered(service, service.submit(breaks(), REQUEUE))
