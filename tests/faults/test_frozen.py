"""ajrd itself is frozen (SIGSTOP, a suspended virtual machine) and woken when its lease is over."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from ajrd.daemon import STOP_VARIABLE
from tests.faults.labs import pass_by
from tests.faults.test_slurmctld import crash, recovered_once, started_twice, submitted
from tests.faults.test_watchdog import REQUEUE_HELD, watching
from tests.service import Service

Make = Callable[..., Service]

LEASE = 4.0


@pytest.mark.parametrize("seconds", [LEASE + 1, pytest.param(60.0, marks=pytest.mark.full)])
@pytest.mark.parametrize("checkpoint", ["looked:requeue_hold", "ran:requeue_hold"])
def test_ajrd_freezes_in_the_middle_of_a_recovery(
    make_service: Make, checkpoint: str, seconds: float
) -> None:
    service = make_service(slurm={"timeout": 1}, lease=LEASE, hold_limit=300)
    service.start(**{STOP_VARIABLE: checkpoint})
    job_id = submitted(service)
    crash(service)
    service.await_stop()
    pass_by(seconds)
    service.wake()
    recovered_once(service, job_id)
    started_twice(service)


def test_a_job_crashes_while_ajrd_is_frozen(make_service: Make) -> None:
    service = make_service(slurm={"timeout": 1}, lease=LEASE)
    service.start()
    job_id = submitted(service)
    assert service.process is not None
    service.process.send_signal(signal.SIGSTOP)
    crash(service)
    pass_by(LEASE + 1)
    service.wake()
    recovered_once(service, job_id)
    started_twice(service)


def test_the_watchdog_has_released_what_a_frozen_ajrd_holds(make_service: Make) -> None:
    """ajrd finds its successor running, and leaves it alone."""
    service = make_service(hold_limit=2)
    service.start(**{STOP_VARIABLE: "commit_after:finishing requeue_hold"})
    job_id = submitted(service)
    crash(service)
    service.await_stop()
    service.await_state(job_id, REQUEUE_HELD)
    with watching(service):
        service.await_state(job_id, "RUNNING|None|1|")
    service.wake()
    recovered_once(service, job_id)
    started_twice(service)
