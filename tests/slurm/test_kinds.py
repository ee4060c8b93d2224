"""Every kind of job on a real Slurm: what Slurm does with it, and what ajrd makes of that."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from ajrd.model import DecisionState, Verb
from ajrd.store.history import AttemptHistory
from tests.service import Service, until
from tests.slurm.jobs import CRASH_LINE, HEALTHY, REQUEUE

Make = Callable[..., Service]

#: Crashes in its first attempt only, and stays in any.
ONCE = f"#!/bin/bash\n[ $SLURM_RESTART_COUNT ] || echo '{CRASH_LINE}'\nsleep 300\n"


def attempts(service: Service, job_id: str, count: int) -> list[AttemptHistory]:
    """The attempts of a job once there are so many."""

    def there() -> list[AttemptHistory] | None:
        history = service.history(job_id)
        return history.attempts if history and len(history.attempts) >= count else None

    return until(f"{count} attempts of job {job_id}", there)


def decided(service: Service, job_id: str, idx: int = 0) -> AttemptHistory:
    """An attempt once the decision on it is closed."""

    def closed() -> AttemptHistory | None:
        history = service.history(job_id)
        if history is None or len(history.attempts) <= idx:
            return None
        decision = history.attempts[idx].decision
        over = decision is not None and decision.state is not DecisionState.OPEN
        return history.attempts[idx] if over else None

    return until(f"a decision on job {job_id}", closed)


def components(service: Service, job_id: str) -> list[str]:
    """State and restarts of each component of a het job."""
    argv = ("squeue", "-h", "-t", "all", "-j", job_id)
    states = service.slurm(*argv, "-O", "HetJobOffset:|,State:|,RestartCnt:").splitlines()
    return sorted(line.strip() for line in states)


STEP = f"[ $SLURM_RESTART_COUNT ] || srun --het-group=1 -o %x_%j.step echo '{CRASH_LINE}'"
HET = f"#!/bin/bash\n{STEP}\nsrun --het-group=0,1 sleep 300\n"


def test_a_het_job_comes_back_as_a_whole(service: Service) -> None:
    """See ajrd/slurm/het.py; the step across all components is what 25.11 stumbles over."""
    job_id = service.submit(HET, REQUEUE, "-N1", ":", "-N2")
    until(
        "both components to run again",
        lambda: components(service, job_id) == ["0|RUNNING|1", "1|RUNNING|1"],
    )
    first = decided(service, job_id)
    assert first.decision is not None
    assert (first.decision.verb, first.decision.outcome) == (Verb.REQUEUE, "successor_started")
    assert len(first.attempt.nodes) > len("n1")
    cause = first.deciding()
    assert cause is not None
    assert cause.anomaly.source.endswith(f"_{int(job_id) + 1}.step")


def test_tasks_of_an_array_come_back_and_the_others_never_notice(service: Service) -> None:
    """The task that starts last has the array's own id, by which scontrol means the whole array."""
    script = f"#!/bin/bash\n[ $SLURM_ARRAY_TASK_ID = 2 ] || {ONCE.splitlines()[1]}\nsleep 300\n"
    array = service.submit(script, REQUEUE, "--array=1-3")
    service.await_state(f"{array}_1", "RUNNING|None|1|")
    service.await_state(f"{array}_3", "RUNNING|None|1|")
    assert service.state(f"{array}_2") == "RUNNING|None|0|"


def test_a_task_that_waits_is_not_touched(service: Service) -> None:
    array = service.submit(ONCE, REQUEUE, "--array=1-2%1")
    service.slurm("scontrol", "hold", f"{array}_2")
    service.await_state(f"{array}_1", "RUNNING|None|1|")
    assert service.state(f"{array}_2") == "PENDING|JobHeldAdmin|0|"


def test_what_salloc_and_srun_run_is_left_alone(service: Service) -> None:
    """Slurm answers a requeue with "Only batch jobs are accepted or processed"."""
    argv = ["srun", REQUEUE, "-o", "%j.log", "bash", "-c", f"echo '{CRASH_LINE}'; sleep 300"]
    srun = subprocess.Popen(argv, env=service.cluster.env, cwd=service.folder)
    try:
        job_id = until("the job", lambda: service.slurm("squeue", "-h", "-o", "%i"))
        left = decided(service, job_id)
        assert left.decision is not None
        assert left.decision.verb is Verb.LEAVE
        assert "not a batch job (salloc or plain srun)" in left.decision.reason
        assert service.state(job_id) == "RUNNING|None|0|"
    finally:
        srun.terminate()
        srun.wait()


def test_a_suspended_job_is_recovered_when_it_goes_on(service: Service) -> None:
    """Slurm would requeue it at once; but whoever suspended it may be looking at it."""
    job_id = service.submit(HEALTHY, REQUEUE)
    attempts(service, job_id, 1)
    service.slurm("scontrol", "suspend", job_id)
    service.await_state(job_id, "SUSPENDED")
    crash_in(service, job_id)
    until("the decision", lambda: attempts(service, job_id, 1)[0].decision)
    marker = service.submit(ONCE, REQUEUE)
    service.await_state(marker, "RUNNING|None|1|")
    assert service.state(job_id) == "SUSPENDED|None|0|"
    service.slurm("scontrol", "resume", job_id)
    service.await_state(job_id, "RUNNING|None|1|")


def crash_in(service: Service, job_id: str) -> None:
    """A crash line in the batch output of a job."""
    with (service.folder / f"slurm-{job_id}.out").open("a") as output:
        output.write(f"{CRASH_LINE}\n")


DOWN = {
    "partition": (("partition=other", "state=down"), ("partition=other", "state=up")),
    "nodes": (
        ("nodename=n[1-8]", "state=drain", "reason=test"),
        ("nodename=n[1-8]", "state=resume"),
    ),
}


@pytest.mark.parametrize("what", list(DOWN))
def test_a_successor_waits_for_partition_and_nodes(service: Service, what: str) -> None:
    """It is released all the same; Slurm says what it waits for, and starts it when that is there.

    PartitionDown, and "Nodes required for job are DOWN, DRAINED …" on both 22.05 and 25.11.
    """
    down, up = DOWN[what]
    job_id = service.submit(HEALTHY, REQUEUE, "--partition=other")
    attempts(service, job_id, 1)
    service.slurm("scontrol", "update", *down)
    try:
        crash_in(service, job_id)
        until("the successor to wait", lambda: waits_for(service, job_id, what))
        until("it to be known", lambda: what in service.status(job_id).lower())
        decision = attempts(service, job_id, 1)[0].decision
        assert decision is not None
        assert decision.state is DecisionState.OPEN
    finally:
        service.slurm("scontrol", "update", *up)
    service.await_state(job_id, "RUNNING|None|1|")
    first = decided(service, job_id).decision
    assert first is not None
    assert first.outcome == "successor_started"


def waits_for(service: Service, job_id: str, what: str) -> bool:
    state = service.state(job_id)
    return state.startswith("PENDING") and what in state.lower() and state.endswith("|1|")


def test_a_requeue_by_an_administrator_is_an_attempt_and_costs_no_budget(
    make_service: Make,
) -> None:
    service = make_service(backoff=0)
    service.start()
    job_id = service.submit(HEALTHY, REQUEUE)
    attempts(service, job_id, 1)
    service.slurm("scontrol", "requeuehold", job_id)
    service.await_state(job_id, "PENDING|job requeued in held state|1|")
    later = int(time.time()) + 1
    until("the second of the kill to pass", lambda: time.time() > later)
    service.slurm("scontrol", "update", f"JobId={job_id}", "StartTime=now")
    service.slurm("scontrol", "release", job_id)
    first, second = attempts(service, job_id, 2)
    assert first.decision is None
    assert (first.attempt.state, second.attempt.idx) == ("REQUEUED", 1)
    crash_in(service, job_id)
    service.await_state(job_id, "RUNNING|None|2|")


def test_a_job_that_crashed_before_ajrd_started(make_service: Make) -> None:
    service = make_service()
    job_id = service.submit(ONCE, REQUEUE)
    output = service.folder / f"slurm-{job_id}.out"
    until("the crash", lambda: output.exists() and CRASH_LINE in output.read_text())
    service.start()
    service.await_state(job_id, "RUNNING|None|1|")


def test_a_directive_that_comes_while_the_job_runs_counts(service: Service) -> None:
    job_id = service.submit(HEALTHY)
    service.await_state(job_id, "RUNNING")
    service.slurm("scontrol", "update", f"JobId={job_id}", REQUEUE.removeprefix("--"))
    attempts(service, job_id, 1)
    crash_in(service, job_id)
    service.await_state(job_id, "RUNNING|None|1|")


def test_a_directive_that_is_taken_back_while_the_job_runs_counts(service: Service) -> None:
    job_id = service.submit(HEALTHY, REQUEUE)
    attempts(service, job_id, 1)
    service.slurm("scontrol", "update", f"JobId={job_id}", "comment=by hand")
    until("it to be known", lambda: "not managed" in service.status(job_id))
    crash_in(service, job_id)
    marker = service.submit(ONCE, REQUEUE)
    service.await_state(marker, "RUNNING|None|1|")
    assert service.state(job_id) == "RUNNING|None|0|"


def test_a_job_that_ends_well_after_its_crash_line_is_not_run_again(make_service: Make) -> None:
    service = make_service(settle=50)
    service.start()
    job_id = service.submit(f"#!/bin/bash\necho '{CRASH_LINE}'\nsleep 1\n", REQUEUE)
    left = decided(service, job_id)
    assert left.decision is not None
    assert (left.decision.verb, left.decision.branch) == (Verb.LEAVE, "completed")
    assert service.state(job_id) == "COMPLETED|None|0|"


def test_dependents_wait_while_a_running_job_is_requeued(service: Service) -> None:
    """Seen alike on 22.05 and 25.11: a requeue of what runs is no end, whatever they wait for."""
    job_id = service.submit(ONCE, REQUEUE, "--begin=now+1")
    dependents = {
        kind: service.submit(HEALTHY, f"--dependency={kind}:{job_id}", "--kill-on-invalid-dep=yes")
        for kind in ("afterok", "afternotok", "afterany")
    }
    service.await_state(job_id, "RUNNING|None|1|")
    for dependent in dependents.values():
        assert service.state(dependent) == "PENDING|Dependency|0|"


def test_a_job_whose_end_has_started_another_stays_as_it_is(service: Service) -> None:
    """Slurm judges dependents within a scheduling pass of the end and never takes it back."""
    job_id = service.submit("#!/bin/bash\nuntil [ -e end ]; do sleep 0.1; done; exit 139", REQUEUE)
    attempts(service, job_id, 1)
    following = service.submit(HEALTHY, f"--dependency=afterany:{job_id}", REQUEUE)
    until("it to be known", lambda: service.history(following))
    assert service.process is not None
    service.process.send_signal(signal.SIGSTOP)
    (service.folder / "end").touch()
    service.await_state(following, "RUNNING")
    service.process.send_signal(signal.SIGCONT)
    left = decided(service, job_id).decision
    assert left is not None
    assert (left.verb, left.branch) == (Verb.LEAVE, "dependent_started")
    assert f"job {following}, which waited for its end" in left.reason
    assert service.state(job_id) == "FAILED|NonZeroExitCode|0|"


def test_a_job_in_a_reservation_comes_back_in_it(service: Service) -> None:
    """The reservation cannot be deleted meanwhile: Slurm calls it in use."""
    service.slurm(
        "scontrol", "create", "reservationname=kinds", "starttime=now", "duration=60", "nodes=n3",
        "users=root",
    )  # fmt: skip
    try:
        job_id = service.submit(ONCE, REQUEUE, "--reservation=kinds")
        service.await_state(job_id, "RUNNING|None|1|")
        assert service.slurm("squeue", "-h", "-j", job_id, "-o", "%N") == "n3"
    finally:
        service.cancel_all()
        service.slurm("scontrol", "delete", "reservationname=kinds")
