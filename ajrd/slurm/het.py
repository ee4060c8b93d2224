"""Het jobs as one job: the whole goes by the number of its first component.

Slurm keeps a record for each component of a het job (``7+0``, ``7+1``), but starts, requeues and
ends only the whole (``_foreach_hetjob_requeue`` and its neighbours in ``job_mgr.c``). Seen alike
on 22.05.8 and 25.11.7:

- ``scontrol requeuehold 7``, ``update JobId=7``, ``release 7``, ``hold 7`` and ``scancel 7`` do it
  to every component within one call of slurmctld, so nothing can fall between two of them;
- ``requeuehold 7+0`` and ``scancel 7+1`` are refused; ``update`` and ``release`` of ``7+1`` change
  that component alone, and so do those of pyslurm with any number, which is why het jobs are left
  to the commands;
- base state, restarts, and the permission to requeue agree in all components at any time; a failed
  node ends or requeues them together. Hold, begin time, excluded nodes may differ.

From 25.11 on a running het job cannot just be requeued. srun answers the end of its step by killing
the step; ``kill_job_step`` hands that on to each component without the step's number, and Slurm
takes it for ``scancel`` of the job that it is requeueing: it ends as CANCELLED. So the first try
kills the batch script and is refused, and a later one requeues what has then ended as FAILED. A
user's ``scancel`` that comes in between is without effect in Slurm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import reduce

from ClusterShell.NodeSet import NodeSet

from ajrd.errors import SlurmRejected
from ajrd.model import HoldBy, JobInfo, StepInfo
from ajrd.slurm.base import ClusterInfo, JobUpdate, Refusal, Slurm
from ajrd.slurm.cli import CliSlurm

#: From here on the end of a step cancels a het job that is being requeued.
STEP_KILL_CANCELS = (25, 11, 0)

#: Whose hold counts when components are held by several.
_HOLDERS = (HoldBy.ADMIN, HoldBy.USER, HoldBy.REQUEUE_HOLD, HoldBy.NOBODY)


class HetSlurm:
    """The :class:`~ajrd.slurm.base.Slurm` protocol with whole het jobs in place of components.

    ``slurm`` is asked, and does everything to other jobs; ``commands`` act on het jobs.
    """

    def __init__(self, slurm: Slurm, commands: CliSlurm) -> None:
        self._slurm = slurm
        self._commands = commands
        self._components: dict[str, tuple[int, ...]] = {}

    async def cluster(self) -> ClusterInfo:
        """Name, version and the settings that matter here."""
        return await self._slurm.cluster()

    async def jobs(self) -> list[JobInfo]:
        """Every job that slurmctld knows, a het job as one."""
        listing = await self._slurm.jobs()
        groups = _by_leader(listing)
        wholes = [whole(parts) for parts in groups.values() if _complete(parts)]
        known = {job.het_job_id for job in wholes}
        self._components = {job.job_id: job.components for job in wholes}
        return [job for job in listing if job.het_job_id not in known] + wholes

    async def job(self, job_id: str) -> JobInfo | None:
        """One job; the whole het job if a component of it is meant."""
        seen = await self._slurm.job(job_id)
        if seen is None or seen.het_job_id is None:
            return seen
        listing = await self.jobs()
        return next((job for job in listing if job.het_job_id == seen.het_job_id), None)

    async def steps(self, job_id: str) -> list[StepInfo]:
        """The running steps of one job, of all components if it is a het job."""
        parts = map(str, self._components.get(job_id, (job_id,)))
        found = await asyncio.gather(*map(self._slurm.steps, parts))
        return [step for steps in found for step in steps]

    async def requeue_hold(self, job_id: str) -> None:
        """Requeue and hold; WRONG_STATE for a het job that is being ended for it."""
        await self._requeueable(job_id)
        await self._acting(job_id).requeue_hold(job_id)

    async def requeue(self, job_id: str) -> None:
        """Requeue; WRONG_STATE for a het job that is being ended for it."""
        await self._requeueable(job_id)
        await self._acting(job_id).requeue(job_id)

    async def update(self, job_id: str, change: JobUpdate) -> None:
        """Change fields of a job; a component keeps the excluded nodes that it alone has."""
        if job_id in self._components and change.exclude_nodes:
            change = await self._exclude(job_id, change, change.exclude_nodes)
        await self._acting(job_id).update(job_id, change)

    async def hold(self, job_id: str) -> None:
        """Hold as the administrator."""
        await self._acting(job_id).hold(job_id)

    async def release(self, job_id: str) -> None:
        """Release a held job."""
        await self._acting(job_id).release(job_id)

    async def cancel(self, job_id: str) -> None:
        """Cancel a job."""
        await self._acting(job_id).cancel(job_id)

    async def close(self) -> None:
        """Let go of both sides."""
        await self._slurm.close()
        await self._commands.close()

    def _acting(self, job_id: str) -> Slurm:
        return self._commands if job_id in self._components else self._slurm

    async def _requeueable(self, job_id: str) -> None:
        """Where a requeue of a running het job would cancel it, ends the job and refuses."""
        if job_id not in self._components or (await self.cluster()).version < STEP_KILL_CANCELS:
            return
        job = await self.job(job_id)
        if job is not None and job.alive:
            await self._commands.end_script(job_id)
            raise SlurmRejected(f"het job {job_id} must end first", Refusal.WRONG_STATE)

    async def _exclude(self, job_id: str, change: JobUpdate, nodes: str) -> JobUpdate:
        """Exclude ``nodes`` in each component if they differ there; the rest of ``change``."""
        listing = await self._slurm.jobs()
        parts = [part for part in listing if str(part.het_job_id) == job_id]
        if len({part.exclude_nodes for part in parts}) <= 1:
            return change
        for part in parts:
            merged = str(NodeSet(part.exclude_nodes) | NodeSet(nodes))
            await self._commands.update(part.job_id, JobUpdate(exclude_nodes=merged))
        return replace(change, exclude_nodes=None)


def whole(parts: Sequence[JobInfo]) -> JobInfo:
    """The het job of these components, the first of which is its first.

    ``exclude_nodes`` are those that every component excludes, so that what one of them lacks is
    still to be excluded. ``submit_time`` is the newest, for each is stamped when the last
    processes of its component are gone.
    """
    leader = parts[0]
    holder = min(parts, key=lambda part: _HOLDERS.index(part.held))
    waiting = next((part for part in (holder, *parts) if part.reason != "None"), holder)
    return replace(
        leader,
        job_id=str(leader.raw_id),
        components=tuple(part.raw_id for part in parts),
        completing=any(part.completing for part in parts),
        configuring=any(part.configuring for part in parts),
        held=holder.held,
        reason=waiting.reason,
        requeue=all(part.requeue for part in parts),
        submit_time=max(part.submit_time for part in parts),
        eligible_time=max((p.eligible_time for p in parts if p.eligible_time), default=None),
        end_time=max((part.end_time for part in parts if part.end_time), default=None),
        nodes=str(reduce(NodeSet.union, (NodeSet(part.nodes) for part in parts))),
        cpus=sum(part.cpus for part in parts),
        gpus=sum(part.gpus for part in parts),
        exclude_nodes=str(
            reduce(NodeSet.intersection, (NodeSet(part.exclude_nodes) for part in parts))
        ),
        comment=next((part.comment for part in parts if part.comment), ""),
    )


def _by_leader(listing: Iterable[JobInfo]) -> dict[int, list[JobInfo]]:
    """The components of each het job in their order, by the number of the first."""
    groups: dict[int, list[JobInfo]] = {}
    for job in listing:
        if job.het_job_id is not None:
            groups.setdefault(job.het_job_id, []).append(job)
    return {name: sorted(parts, key=lambda part: part.raw_id) for name, parts in groups.items()}


def _complete(parts: Sequence[JobInfo]) -> bool:
    """Is the first component among them? Without it Slurm does nothing to the others."""
    return parts[0].raw_id == parts[0].het_job_id
