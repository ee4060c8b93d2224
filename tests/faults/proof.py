"""What must be true after any fault, from Slurm's and from the database's own records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ajrd.model import ActionState, DecisionState, Step, Verb
from ajrd.store.history import AttemptHistory, JobHistory
from tests.service import Service, until

T = TypeVar("T")

#: What the first attempt of :func:`breaks` says.
CRASH_LINES = [f"Rank{rank}: (1) segmentation fault: artificial segfault" for rank in range(3)]
#: Files that cannot be there, and that always are.
NEVER, ALWAYS = Path("/dev/null/never"), Path("/dev/null")


def breaks(again: Path = NEVER, first: Path = ALWAYS) -> str:
    """A job that prints its crash lines, once ``first`` exists, and stays.

    Its successor does the same once ``again`` exists.
    """
    lines = "".join(f"echo '{line}'\n" for line in CRASH_LINES)
    gate = f"[ $SLURM_RESTART_COUNT ] && gate={again} || gate={first}"
    wait = "until [ -e $gate ]; do sleep 0.1; done"
    return f"#!/bin/bash\necho working\n{gate}\n{wait}\n{lines}sleep 300\n"


def history_when(service: Service, job_id: str, wanted: str, attempts: int = 2) -> JobHistory:
    """The history, once the store has so many attempts and the decision on the first is over."""

    def told() -> JobHistory | None:
        history = service.history(job_id)
        if history is None or len(history.attempts) < attempts:
            return None
        decision = history.attempts[0].decision
        return history if decision and decision.state is not DecisionState.OPEN else None

    return until(wanted, told)


def crash_lines(attempt: AttemptHistory) -> list[str]:
    """The crash lines as the store has them, in the order of the log."""
    found = [record.anomaly.finding for record in attempt.anomalies]
    lines = sorted((each.offset, each.text) for each in found if each.text.startswith("Rank"))
    return [text for _, text in lines]


def assert_recovered(service: Service, job_id: str, *, degraded: bool = False) -> JobHistory:
    """The job was requeued once and runs, and the store knows all of it exactly once."""
    service.await_state(job_id, "RUNNING|None|1|")
    history = history_when(service, job_id, "the decision to be over")
    first, second = history.attempts
    assert (first.attempt.idx, second.attempt.idx) == (0, 1)
    assert (first.attempt.state, second.attempt.state) == ("REQUEUED", "RUNNING")
    assert first.decision is not None
    assert second.decision is None
    assert first.decision.state is DecisionState.CONVERGED
    assert first.decision.outcome == "successor_started"
    assert (first.decision.used, first.decision.degraded) == (1, degraded)
    kills = [a.state for a in first.decision.actions if a.step is Step.REQUEUE_HOLD]
    assert kills == [ActionState.DONE]
    assert crash_lines(first) == CRASH_LINES
    assert service.state(job_id) == "RUNNING|None|1|"
    return history


def assert_stopped_for_good(service: Service, job_id: str) -> None:
    """The second attempt breaks, and there is no third."""
    service.await_state(job_id, "CANCELLED")
    assert service.state(job_id).endswith("|1|")
    decision = until(
        "its decision", lambda: second_attempt(service, job_id, lambda it: it.decision)
    )
    assert (decision.verb, decision.branch) == (Verb.STOP, "budget_spent")


def second_attempt(service: Service, job_id: str, part: Callable[[AttemptHistory], T]) -> T | None:
    """A part of what the store knows of the second attempt."""
    history = service.history(job_id)
    return part(history.attempts[1]) if history and len(history.attempts) > 1 else None
