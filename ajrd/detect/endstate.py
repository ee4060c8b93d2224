"""What Slurm's own end state means as an anomaly. Pure.

Slurm's word stands beside what the logs say: where a log knows better (the Python error behind an
exit code of 1), :mod:`ajrd.detect.classify` prefers it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ajrd.model import Finding, JobInfo, JobState, Kind, Recovery, Role

_ROOT, _CASCADE = Role.ROOT, Role.CASCADE


@dataclass(frozen=True, slots=True)
class _Meaning:
    kind: Kind
    cause: str
    role: Role
    recovery: Recovery


#: States that speak for themselves (squeue(1), JOB STATE CODES). COMPLETED, CANCELLED and
#: PREEMPTED are absent: nothing broke, somebody decided. A job past its deadline stays past it.
_BY_STATE = {
    JobState.NODE_FAIL: _Meaning(Kind.NODE, "node_fail", _ROOT, Recovery.REQUEUE_EXCLUDE),
    JobState.BOOT_FAIL: _Meaning(Kind.NODE, "node_fail", _ROOT, Recovery.REQUEUE_EXCLUDE),
    JobState.OUT_OF_MEMORY: _Meaning(Kind.OOM, "oom_host", _ROOT, Recovery.STOP),
    JobState.TIMEOUT: _Meaning(Kind.SCHEDULER, "slurm_timelimit", _ROOT, Recovery.REQUEUE),
    JobState.DEADLINE: _Meaning(Kind.SCHEDULER, "slurm_timelimit", _ROOT, Recovery.STOP),
}

#: FAILED by a signal (signal(7), x86 and Arm numbers). SIGABRT and SIGKILL are often how a
#: program or a supervisor reacts to something else, so they count as consequences.
_BY_SIGNAL = {
    4: _Meaning(Kind.CRASH, "illegal_instruction", _ROOT, Recovery.STOP),
    6: _Meaning(Kind.CRASH, "abort", _CASCADE, Recovery.REQUEUE),
    7: _Meaning(Kind.CRASH, "sigbus", _ROOT, Recovery.REQUEUE),
    9: _Meaning(Kind.OOM, "oom_host", _CASCADE, Recovery.STOP),
    11: _Meaning(Kind.CRASH, "segfault", _ROOT, Recovery.REQUEUE),
}

_PLAIN_FAILURE = _Meaning(Kind.USER, "app_error", _CASCADE, Recovery.STOP)


def from_end_state(job: JobInfo) -> Finding | None:
    """The anomaly that the end of an attempt is by itself; None if nothing broke."""
    meaning = _meaning(job)
    if meaning is None:
        return None
    return Finding(
        rule=f"slurm.{job.state.value.lower()}",
        kind=meaning.kind,
        cause=meaning.cause,
        role=meaning.role,
        recovery=meaning.recovery,
        offset=0,
        line_no=0,
        text=f"Slurm: {job.state.value}, exit code {job.exit_code}:{job.signal}",
        facts=_facts(job, meaning),
    )


def signal_of(job: JobInfo) -> int:
    """The signal that ended the job, 0 if none: shells and srun turn signal n into 128+n."""
    if job.signal:
        return job.signal
    return job.exit_code - 128 if 128 < job.exit_code <= 128 + 64 else 0


def _meaning(job: JobInfo) -> _Meaning | None:
    if job.state is JobState.FAILED:
        return _BY_SIGNAL.get(signal_of(job), _PLAIN_FAILURE)
    return _BY_STATE.get(job.state)


def _facts(job: JobInfo, meaning: _Meaning) -> dict[str, str]:
    facts = {"exit_code": str(job.exit_code)} if job.exit_code else {}
    if signal := signal_of(job):
        facts["signal"] = str(signal)
    if meaning.cause == "node_fail" and job.nodes and not set("[,") & set(job.nodes):
        facts["node"] = job.nodes
    return facts
