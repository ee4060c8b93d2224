"""May ajrd act on this job at all? Asked before a decision, with the job as Slurm shows it.

Each refusal is a sentence that ``ajrd status`` shows to the owner; nothing here depends on
what went wrong in the job.
"""

from __future__ import annotations

from dataclasses import dataclass

from ajrd.model import Directive, HoldBy, JobInfo, JobState, ResumeMode
from ajrd.policy.directive import NotManaged

#: The bits of a job id below the number of the cluster that a federated job comes from
#: (FED_MGR_CLUSTER_ID_BEGIN in fed_mgr.c); 0 for any other job (slurm.conf(5), MaxJobId).
FEDERATION_BITS = 26


@dataclass(frozen=True, slots=True)
class Site:
    """What the site allows. An empty ``partitions`` allows every partition."""

    partitions: frozenset[str] = frozenset()
    act: bool = False


def refusal(job: JobInfo, directive: Directive, site: Site) -> str | None:
    """Why this job must be left alone, or None."""
    checks = (
        _partition(job, site),
        _shape(job),
        _requeue_possible(job, directive),
        _others_will(job),
    )
    return next((reason for reason in checks if reason), None)


def standing(job: JobInfo, directive: Directive | NotManaged, site: Site) -> str:
    """What the owner should know before anything has gone wrong, in one line; "" for nothing."""
    if isinstance(directive, NotManaged):
        return str(directive)
    reason = None if job.state.ended else refusal(job, directive, site)
    alone = f"would be left alone: {reason}" if reason else ""
    watching = "" if site.act else "observe mode: decisions are written down, not carried out"
    return "; ".join(filter(None, (alone, watching, *directive.notes)))


def _partition(job: JobInfo, site: Site) -> str | None:
    if not site.partitions or job.partition in site.partitions:
        return None
    allowed = ", ".join(sorted(site.partitions))
    return f"partition {job.partition} is not among those that ajrd may act in ({allowed})"


def _shape(job: JobInfo) -> str | None:
    if cluster := job.raw_id >> FEDERATION_BITS:
        return (
            f"a job of a federation (from its cluster {cluster}): another cluster may run or "
            "requeue it, which ajrd does not see"
        )
    if job.het_job_id not in (None, job.raw_id):
        return (
            f"a component of het job {job.het_job_id}, of which Slurm shows no first component: "
            "it requeues only the whole, through that one"
        )
    return None


def _requeue_possible(job: JobInfo, directive: Directive) -> str | None:
    if directive.mode is not ResumeMode.REQUEUE:
        return None
    if not job.batch:
        return "not a batch job (salloc or plain srun): Slurm cannot requeue it"
    if not job.requeue:
        return f"requeue is disabled for the job (scontrol update jobid={job.job_id} requeue=1)"
    return None


def _others_will(job: JobInfo) -> str | None:
    if job.state is JobState.CANCELLED:
        return "cancelled by its user or an administrator"
    if job.held is HoldBy.USER:
        return "held by its user"
    if job.held is HoldBy.ADMIN:
        return "held by an administrator"
    return None
