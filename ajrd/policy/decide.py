"""From a verdict to a decision: what should happen to one attempt, and why.

The table in :func:`decide` is read from top to bottom; the first line that fits decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ajrd.model import Directive, JobInfo, JobState, Recovery, ResumeMode, Verb, Verdict
from ajrd.policy import backoff
from ajrd.policy.eligibility import Site, refusal
from ajrd.policy.fruitless import Past, failed_in_a_row, fruitless
from ajrd.policy.nodes import Known, excluded


@dataclass(frozen=True, slots=True)
class Plan:
    """What should happen. ``branch`` names the line of the table, ``reason`` is for people.

    ``used`` counts the requeues of the job with this one; ``start_delay`` (s) puts the successor
    off.
    """

    verb: Verb
    branch: str
    reason: str
    exclude_nodes: tuple[str, ...] = ()
    used: int = 0
    start_delay: float = 0.0


@dataclass(frozen=True, slots=True)
class Case:
    """All that a decision depends on.

    ``used`` counts the requeues of this job that ajrd has already begun; restarts that
    happened before ajrd knew the job count as used, for nobody can say whose they were.
    ``attempts`` are all of the job in their order, the one to decide on last. ``backoff`` (s) is
    how long a job is first put off whose attempts fail at once. ``taken_over_by`` is a job that
    waited for the end of the attempt and was let go by it (:mod:`ajrd.policy.dependents`).
    ``announced``: AdminComment says that ajrd was about to act on this attempt for this cause; what
    came of it was never written down.
    ``known`` is what holds of nodes.
    """

    job: JobInfo
    directive: Directive
    verdict: Verdict
    used: int
    site: Site
    attempts: Sequence[Past] = ()
    no_progress_limit: int = 0
    backoff: float = 0.0
    taken_over_by: str | None = None
    announced: bool = False
    known: Known = field(default_factory=Known)


def decide(case: Case) -> Plan:
    """The decision for one attempt."""
    if case.announced and case.directive.mode is ResumeMode.SINGLETON:
        case = replace(case, job=_as_if_failed(case.job))
    job, directive, verdict = case.job, case.directive, case.verdict
    cause = f"{verdict.kind} {verdict.cause}"
    if reason := refusal(job, directive, case.site):
        return Plan(Verb.LEAVE, "not_eligible", f"{cause}, left alone: {reason}")
    if job.state is JobState.COMPLETED:
        return Plan(Verb.LEAVE, "completed", f"{cause}, but the job ended well")
    if why := _pointless(case):
        return Plan(Verb.STOP, "pointless", f"{cause}: {why}", used=case.used)
    if directive.mode is ResumeMode.SINGLETON:
        return Plan(Verb.CHAIN, "singleton", f"{cause}: the next job of the chain takes over")
    if case.taken_over_by is not None:
        other = f"job {case.taken_over_by}, which waited for its end, goes on in its place"
        return Plan(Verb.LEAVE, "dependent_started", f"{cause}, left alone: {other}")
    if case.used >= directive.max_requeue_times:
        spent = f"requeued {case.used} of {directive.max_requeue_times} times"
        return Plan(Verb.STOP, "budget_spent", f"{cause}: {spent}, no more requeue", used=case.used)
    row = fruitless(verdict.cause or "", case.attempts)
    if 0 < case.no_progress_limit <= row:
        again = f"{row} attempts in a row failed by it without getting further"
        return Plan(Verb.STOP, "no_progress", f"{cause}: {again}, no more requeue", used=case.used)
    return _requeue(case, cause)


def _as_if_failed(job: JobInfo) -> JobInfo:
    """The cancellation is ajrd's own: it ends a broken attempt of a chain that way."""
    return replace(job, state=JobState.FAILED) if job.state is JobState.CANCELLED else job


def _requeue(case: Case, cause: str) -> Plan:
    used = case.used + 1
    delay = backoff.delay(failed_in_a_row(case.attempts), case.backoff)
    later = f", {delay:.0f} s later: it fails quickly" if delay else ""
    reason = f"{cause}: requeue {used} of {case.directive.max_requeue_times}{later}"
    return Plan(Verb.REQUEUE, "requeue", reason, _exclude(case), used, delay)


def _pointless(case: Case) -> str:
    """Why another try makes no sense, by itself or by the owner's word; "": it does."""
    names = {(case.verdict.cause or "").lower(), case.job.state.lower()}
    asked = {name.lower() for name in case.directive.resume_on}
    if refused := asked & {f"-{name}" for name in names}:
        return f"the owner asks for no other try (resume_on {min(refused)})"
    if case.verdict.recovery is Recovery.STOP and not asked & names:
        return f"{case.verdict.reason}; another try is pointless"
    return ""


def _exclude(case: Case) -> tuple[str, ...]:
    """The owner may want no node avoided, whoever calls it faulty."""
    if not case.directive.exclude_nodes:
        return ()
    to_blame = case.verdict.recovery is Recovery.REQUEUE_EXCLUDE
    return excluded(case.verdict.nodes if to_blame else (), case.known)
