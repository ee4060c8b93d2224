"""Kinds of jobs on a cluster set up otherwise: no requeue by default, preemption, expediting."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ajrd.daemon import FAULT_VARIABLE
from ajrd.model import Verb
from labcluster.cluster import Lab
from labcluster.tools import slurm_version
from tests.service import Service, until
from tests.slurm.jobs import CRASHING, HEALTHY, REQUEUE
from tests.slurm.test_kinds import ONCE, attempts, crash_in, decided

Make = Callable[..., Service]

EXPEDITED = slurm_version() >= (25, 11)
SETUP = {
    "JobRequeue": "0",
    "PreemptType": "preempt/partition_prio",
    "PreemptMode": "REQUEUE",
} | ({"SlurmctldParameters": "enable_expedited_requeue"} if EXPEDITED else {})


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """Takes the place of the lab that other tests share."""
    with tempfile.TemporaryDirectory(prefix="ajrd-lab-") as folder:
        cluster = Lab(Path(folder))
        cluster.up(nodes=2, extra=SETUP)
        cluster.command("scontrol", "update", "partition=other", "prioritytier=9")
        try:
            yield cluster
        finally:
            cluster.down()


def test_where_no_job_is_requeued_by_default_the_owner_is_told(make_service: Make) -> None:
    service = make_service()
    service.start()
    job_id = service.submit(CRASHING, REQUEUE)
    left = decided(service, job_id)
    assert left.decision is not None
    assert left.decision.verb is Verb.LEAVE
    assert f"scontrol update jobid={job_id} requeue=1" in service.status(job_id)
    assert service.state(job_id) == "RUNNING|None|0|"
    service.slurm("scontrol", "update", f"jobid={job_id}", "requeue=1")
    asked = service.submit(ONCE, REQUEUE, "--requeue")
    service.await_state(asked, "RUNNING|None|1|")


def test_a_preempted_attempt_costs_no_budget(make_service: Make) -> None:
    """Slurm requeues it (PreemptMode=REQUEUE); its restart counter grows, ours does not."""
    service = make_service(backoff=0)
    service.start()
    job_id = service.submit(HEALTHY, REQUEUE, "--requeue", "--nodelist=n1")
    attempts(service, job_id, 1)
    urgent = service.submit(HEALTHY, "--partition=other", "--nodelist=n1")
    service.await_state(urgent, "RUNNING")
    service.slurm("scancel", urgent)
    service.slurm("scontrol", "update", f"JobId={job_id}", "StartTime=now+1")
    first, _second = attempts(service, job_id, 2)
    assert first.decision is None
    crash_in(service, job_id)
    service.await_state(job_id, "RUNNING|None|2|")


@pytest.mark.skipif(not EXPEDITED, reason="--requeue=expedite is new in Slurm 25.11")
def test_an_expedited_requeue_is_left_to_slurm_and_ours_works_beside_it(make_service: Make) -> None:
    """A failed script is requeued by Slurm itself, and held unless an Epilog failed, too."""
    service = make_service()
    service.start()
    failing = service.submit("#!/bin/bash\nsleep 1\nexit 3\n", REQUEUE, "--requeue=expedite")
    service.await_state(failing, "REQUEUE_HOLD|job requeued in held state|1|")
    crashing = service.submit(ONCE, REQUEUE, "--requeue=expedite")
    service.await_state(crashing, "RUNNING|None|1|")
    assert service.state(failing) == "REQUEUE_HOLD|job requeued in held state|1|"
    assert attempts(service, failing, 1)[0].decision is None


def test_another_job_with_the_same_id_is_never_killed(make_service: Make, lab: Lab) -> None:
    """A controller that has lost its state begins again with the first id.

    What still runs of the first job is then ended on its node: the second one has another.
    """
    service = make_service()
    forget_everything(lab)
    job_id = service.submit(CRASHING, REQUEUE, "--requeue", "--nodelist=n1")
    service.start(**{FAULT_VARIABLE: "commit_after:writing a decision"})
    service.wait()
    forget_everything(lab)
    assert service.submit(HEALTHY, "--requeue", "--nodelist=n2") == job_id
    service.await_state(job_id, "RUNNING")
    service.start()
    until("the decision to be given up", lambda: "job_unknown" in service.status(job_id))
    assert service.state(job_id) == "RUNNING|None|0|"


def forget_everything(lab: Lab) -> None:
    """As if the folder of the controller's state were lost."""
    lab.daemon("slurmctld").end(patience=10)
    shutil.rmtree(lab.root / "state")
    (lab.root / "state").mkdir()
    lab.start_controller("-c")
    lab.command("scontrol", "update", "partition=other", "prioritytier=9")
    until("idle nodes", lambda: "idle" in lab.command("sinfo", "-h", "-p", "main", "-o", "%T"))
