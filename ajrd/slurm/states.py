"""What a job's state and reason mean: base state, flags, and who holds it.

Slurm's commands print one word where slurmctld has a base state and flags: ``COMPLETING``
hides whether the job ended or was requeued (``job_state_string`` in
``src/common/slurm_protocol_defs.c``, 22.05). The rest is inferred here from fields that no
user can set.
"""

from __future__ import annotations

from dataclasses import dataclass

from ajrd.model import HoldBy, JobState

#: Set by ``requeuehold`` (``_job_requeue_op`` in ``src/slurmctld/job_mgr.c``).
REQUEUE_HELD = "job requeued in held state"

#: Flag words that stand in for a base state, with the only base that they go together with.
_FLAG_BASE = {
    "CONFIGURING": JobState.RUNNING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "STOPPED": JobState.RUNNING,
    "EXPEDITING": JobState.PENDING,
    "REQUEUED": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
    "SPECIAL_EXIT": JobState.PENDING,
    "RESV_DEL_HOLD": JobState.PENDING,
    "REVOKED": JobState.CANCELLED,
}

_END_REASONS = {
    "NonZeroExitCode": JobState.FAILED,
    "JobLaunchFailure": JobState.FAILED,
    "SystemFailure": JobState.FAILED,
    "TimeLimit": JobState.TIMEOUT,
    "NodeDown": JobState.NODE_FAIL,
    "OutOfMemory": JobState.OUT_OF_MEMORY,
    "DeadLine": JobState.DEADLINE,
}


@dataclass(frozen=True, slots=True)
class State:
    """A base state and the two flags that matter here."""

    base: JobState
    completing: bool = False
    configuring: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of the newest run of a job; times in epoch seconds, None: not set."""

    reason: str
    start: int | None
    end: int | None
    used_nothing: bool


def from_words(words: list[str], run: Run) -> State:
    """The state behind Slurm's words, one of 22.05 or the list of 23.11 and later.

    Raises ValueError for a word that is no state.
    """
    completing = bool({"COMPLETING", "STAGE_OUT"} & set(words))
    configuring = "CONFIGURING" in words
    for word in words:
        if word in JobState.__members__:
            return State(JobState[word], completing, configuring)
    if completing:
        return State(_base_while_completing(run), True)
    for word in words:
        if word in _FLAG_BASE:
            return State(_FLAG_BASE[word], False, configuring)
    raise ValueError(f"unknown job state {words!r}")


def _base_while_completing(run: Run) -> JobState:
    """PENDING if the job was requeued while its processes die, else how it ended.

    A requeued job has used no time, and its end lies a whole time limit (minutes, or no limit)
    after its start. An ended job without a reason has completed or was cancelled, which 22.05
    does not tell apart until it is over: it counts as cancelled, for nothing acts on that.
    """
    limit_ahead = run.end is None or run.start is None or run.end - run.start >= 60
    if run.reason == REQUEUE_HELD or (run.used_nothing and limit_ahead):
        return JobState.PENDING
    if run.reason.startswith("RaisedSignal"):
        return JobState.FAILED
    return _END_REASONS.get(run.reason, JobState.CANCELLED)


def held_by(state: JobState, priority: int, reason: str, code: str | None = None) -> HoldBy:
    """Who holds a job. ``reason`` is what squeue prints, ``code`` the reason behind it.

    A hold is priority 0. ``requeuehold`` leaves a text that covers later holds: an
    administrator's shows in the code alone, a user's not at all (22.05: both are JobHeldUser).
    A hold for any other cause (launch failure, special exit) is Slurm's or the site's own.
    """
    if state is not JobState.PENDING or priority != 0:
        return HoldBy.NOBODY
    if code == "JobHeldAdmin":
        return HoldBy.ADMIN
    if reason == REQUEUE_HELD:
        return HoldBy.REQUEUE_HOLD
    return HoldBy.USER if reason == "JobHeldUser" else HoldBy.ADMIN
