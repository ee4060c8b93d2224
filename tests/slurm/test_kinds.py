"""Every kind of job on a real Slurm: what Slurm does with it, and what ajrd makes of that."""

from __future__ import annotations

from collections.abc import Callable

from ajrd.model import DecisionState, Verb
from ajrd.store.history import AttemptHistory
from tests.service import Service, until
from tests.slurm.jobs import CRASH_LINE, REQUEUE

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
