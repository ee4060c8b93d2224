"""The main job: a crashed job of a real Slurm comes back by itself."""

from __future__ import annotations

import pytest

from ajrd.model import DecisionState, Verb
from ajrd.store.history import JobHistory
from tests.service import Service, until
from tests.slurm.jobs import CRASHING, HEALTHY, REQUEUE, SINGLETON, VERIFICATION, scaled


def stopped(service: Service, job_id: str) -> JobHistory | None:
    """The history once the second attempt is over and nothing is open."""
    history = service.history(job_id)
    if history is None or len(history.attempts) < 2:
        return None
    decisions = [attempt.decision for attempt in history.attempts]
    done = all(d is not None and d.state is not DecisionState.OPEN for d in decisions)
    return history if done and history.attempts[-1].attempt.ended_at else None


@pytest.mark.parametrize("script", [scaled(), VERIFICATION], ids=["scaled", "full length"])
def test_the_verification_job_is_requeued_once_and_then_stopped(
    service: Service, script: str
) -> None:
    job_id = service.submit(script)
    history = until("the second attempt to be stopped", lambda: stopped(service, job_id), 150)
    assert service.state(job_id).startswith("CANCELLED")
    assert service.state(job_id).endswith("|1|")
    first, second = history.attempts
    assert [first.attempt.idx, second.attempt.idx] == [0, 1]
    assert [first.attempt.state, second.attempt.state] == ["REQUEUED", "CANCELLED"]
    assert first.decision is not None
    assert second.decision is not None
    assert (first.decision.verb, first.decision.outcome) == (Verb.REQUEUE, "successor_started")
    assert (second.decision.verb, second.decision.branch) == (Verb.STOP, "budget_spent")
    for attempt in history.attempts:
        cause = attempt.deciding()
        assert cause is not None
        assert cause.anomaly.finding.text.startswith("Rank0: (1) segmentation fault")
        assert cause.anomaly.source.startswith(f"{service.folder}/job.sh_{job_id}_date_")
        assert cause.anomaly.finding.facts["rank"] == "0"
    said = service.slurm("squeue", "-h", "-t", "all", "-j", job_id, "-O", "admin_comment:200")
    assert "requeued 1 of 1 times, no more requeue" in said


def test_status_tells_the_story_of_the_verification_job(service: Service) -> None:
    job_id = service.submit(scaled())
    until("the second attempt to be stopped", lambda: stopped(service, job_id))
    text = service.status(job_id)
    assert "CRASH segfault rank 0" in text
    assert "requeue   converged: successor_started" in text
    assert "> Rank0: (1) segmentation fault: artificial segfault" in text
    assert f"scontrol requeuehold {job_id}" in text
    assert f"scontrol release {job_id}" in text


@pytest.mark.parametrize("hold", [True, False], ids=["held", "not held"])
def test_the_next_job_of_a_singleton_chain_takes_over(service: Service, hold: bool) -> None:
    chain = ("--job-name=chain", "--dependency=singleton", SINGLETON)
    first = service.submit(CRASHING, *chain)
    service.await_state(first, "RUNNING")
    second = service.submit(HEALTHY, *chain, *(["--hold"] if hold else []))
    service.await_state(second, "RUNNING")
    assert service.state(first).startswith("CANCELLED")
    assert service.state(first).endswith("|0|")

    def closed() -> JobHistory | None:
        history = service.history(first)
        decision = history.attempts[0].decision if history and history.attempts else None
        return history if decision and decision.state is DecisionState.CONVERGED else None

    history = until("the decision to converge", closed)
    decision = history.attempts[0].decision
    assert decision is not None
    assert (decision.verb, decision.outcome) == (Verb.CHAIN, "chain_continues")
    released = any(action.result == f"scontrol release {second}" for action in decision.actions)
    assert released is hold


def test_a_job_that_ends_by_a_signal_comes_back(service: Service) -> None:
    script = f"#!/bin/bash\n[ $SLURM_RESTART_COUNT ] || kill -SEGV $$\n{HEALTHY}"
    job_id = service.submit(script, REQUEUE)
    service.await_state(job_id, "RUNNING|None|1|")


def test_a_crash_that_the_job_survives_does_not_kill_it(service: Service) -> None:
    steps = 'for i in $(seq 600); do echo "iteration $i/600 loss 1.0"; sleep 0.1; done'
    job_id = service.submit(f"#!/bin/bash\necho 'Segmentation fault'\n{steps}\n", REQUEUE)

    def read_on() -> bool:
        history = service.history(job_id)
        sources = history.attempts[0].sources if history and history.attempts else []
        return any(s.progress_offset is not None and s.line_no > 30 for s in sources)

    until("thirty more steps", read_on)
    history = service.history(job_id)
    assert history is not None
    assert history.attempts[0].anomalies
    assert history.attempts[0].decision is None
    assert service.state(job_id) == "RUNNING|None|0|"


def test_other_peoples_words_and_exclusions_are_kept(service: Service) -> None:
    job_id = service.submit(scaled(before=3), "--exclude=n7")
    service.await_state(job_id, "RUNNING")
    service.slurm("scontrol", "update", f"JobId={job_id}", "AdminComment=ticket 4711")
    service.await_state(job_id, "RUNNING|None|1|")
    said = service.slurm("squeue", "-h", "-j", job_id, "-O", "admin_comment:200")
    assert said.startswith("ticket 4711 [ajrd a0 ")
    assert service.slurm("squeue", "-h", "-j", job_id, "-o", "%x") == "n7"


def test_one_task_of_an_array_is_requeued_alone(service: Service) -> None:
    script = "#!/bin/bash\n[ $SLURM_ARRAY_TASK_ID = 1 ] && [ ! $SLURM_RESTART_COUNT ] &&"
    script += f" echo '{CRASHING.splitlines()[1][6:-1]}'\nsleep 300\n"
    array = service.submit(script, "--array=1,2", REQUEUE)
    service.await_state(f"{array}_1", "RUNNING|None|1|")
    assert service.state(f"{array}_2") == "RUNNING|None|0|"
