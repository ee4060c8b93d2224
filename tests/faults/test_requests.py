"""kill -9 between a request and what is done about it: done once, and answered."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator

import pytest

from ajrd.daemon import FAULT_VARIABLE
from labcluster.cluster import Lab
from tests.faults.labs import own_lab
from tests.faults.moments import around
from tests.service import Service, until
from tests.slurm.jobs import HEALTHY, REQUEUE

Make = Callable[..., Service]
#: One of them is in every run: the others are like it.
OF_A_REQUEST = [
    "commit_after:writing a decision",
    *(
        pytest.param(moment, marks=pytest.mark.full)
        for moment in ("commit_before:writing a decision", "ran:requeue_hold", "ran:release")
    ),
]
BEFORE, AFTER = around("answering a request")
OF_A_PAUSE = [pytest.param(BEFORE, marks=pytest.mark.full), AFTER]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Without the jobs of other tests, on which a decision might be written first."""
    with own_lab(2) as lab:
        yield lab


def killed_by(service: Service, moment: str, verb: str) -> str:
    """A healthy job for which something is asked of a service that dies of it, and starts again."""
    service.start(**{FAULT_VARIABLE: moment})
    job_id = service.submit(HEALTHY, REQUEUE)
    service.await_state(job_id, "RUNNING|None|0|")
    until("the attempt to be known", lambda: (h := service.history(job_id)) and h.attempts)
    assert service.ajrd(verb, job_id, "--reason", "a test").returncode == 0
    assert service.wait() == -signal.SIGKILL, f"{moment} was never reached"
    service.start()
    return job_id


@pytest.mark.parametrize("moment", OF_A_REQUEST)
def test_a_requeue_that_was_asked_for_happens_once(make_service: Make, moment: str) -> None:
    service = make_service()
    job_id = killed_by(service, moment, "requeue")
    service.await_state(job_id, "RUNNING|None|1|")
    trail = service.ajrd("events", job_id, "-n", "-o", "event").stdout.split()
    assert trail.count("request_done") == 1
    history = service.history(job_id)
    assert history is not None
    assert history.attempts[0].decision is not None
    assert history.attempts[0].decision.used == 1


@pytest.mark.parametrize("moment", OF_A_PAUSE)
def test_a_pause_is_answered_and_holds(make_service: Make, moment: str) -> None:
    service = make_service()
    job_id = killed_by(service, moment, "pause")
    until(
        "the answer",
        lambda: "request_done" in service.ajrd("events", job_id, "-n", "-o", "event").stdout,
    )
    trail = service.ajrd("events", job_id, "-n", "-o", "event").stdout.split()
    assert (trail.count("paused"), trail.count("request_done")) == (1, 1)
    assert "paused: nothing is done" in service.status(job_id)
