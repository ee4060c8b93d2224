"""A requeue that somebody asks for: what the evidence says does not count, everything else does.

Pure. An owner has his directive's budget; an operator may go beyond it, up to the site's ceiling.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ajrd.model import Directive, JobInfo, JobState, ResumeMode, Verb
from ajrd.policy.decide import Plan
from ajrd.policy.directive import NotManaged
from ajrd.policy.eligibility import Site, refusal
from ajrd.policy.nodes import Known, excluded

#: The branch of a decision that was asked for.
BRANCH = "operator"
OBSERVES = "ajrd only observes here (recovery.mode): it does nothing to jobs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Somebody (``by``) wants another attempt, and why.

    ``ceiling`` is the site's for requeues of one job; the rest is as in a
    :class:`~ajrd.policy.decide.Case`.
    """

    by: str
    why: str
    job: JobInfo
    directive: Directive | NotManaged
    used: int
    ceiling: int
    site: Site
    taken_over_by: str | None = None
    known: Known = field(default_factory=Known)


def requeue_as_asked(wish: Wish) -> Plan | str:
    """The decision, or a sentence that says why nothing is done."""
    if isinstance(wish.directive, NotManaged):
        return f"the job is not managed: {wish.directive}"
    reason = _refusal(wish.job, wish.directive, wish.site) or _taken_over(wish)
    if reason:
        return reason
    count = _counted(wish, wish.directive.max_requeue_times)
    if count is None:
        return _spent(wish, wish.directive.max_requeue_times)
    because = f" ({wish.why})" if wish.why else ""
    reason = f"asked for by {wish.by}{because}: requeue {count}"
    avoided = excluded((), wish.known) if wish.directive.exclude_nodes else ()
    return Plan(Verb.REQUEUE, BRANCH, reason, avoided, used=wish.used + 1)


def _refusal(job: JobInfo, directive: Directive, site: Site) -> str | None:
    if not site.act:
        return OBSERVES
    if reason := refusal(job, replace(directive, mode=ResumeMode.REQUEUE), site):
        return reason
    match job.state:
        case JobState.PENDING:
            return "the job is pending: it will start by itself"
        case JobState.SUSPENDED:
            return f"the job is suspended (scontrol resume {job.job_id})"
        case JobState.COMPLETED:
            return "the job ended well"
    return None


def _taken_over(wish: Wish) -> str | None:
    if wish.taken_over_by is None or not wish.job.state.ended:
        return None
    return f"job {wish.taken_over_by}, which waited for its end, goes on in its place"


def _counted(wish: Wish, allowed: int) -> str | None:
    """The requeue among those that are allowed, None if there is none left."""
    if wish.used < allowed:
        return f"{wish.used + 1} of {allowed}"
    if wish.by == wish.job.user or wish.used >= wish.ceiling:
        return None
    beyond = f"beyond the owner's {allowed}, as an operator may up to the site's ceiling"
    return f"{wish.used + 1} of {wish.ceiling}, {beyond}"


def _spent(wish: Wish, allowed: int) -> str:
    if wish.by != wish.job.user:
        return f"the site's ceiling is reached: requeued {wish.used} of {wish.ceiling} times"
    more = f"; an operator may go up to {wish.ceiling}" if wish.used < wish.ceiling else ""
    return f"the budget is spent: requeued {wish.used} of {allowed} times{more}"
