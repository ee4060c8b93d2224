"""A plausible week of a cluster, for looking at the pages and for their pictures.

``python -m tests.web.demo FOLDER [PORT]`` fills a store in a folder and serves the pages over it.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ajrd.model import Kind, Recovery, Role, Verb
from ajrd.recovery.sequence import Outcome
from ajrd.store.records import AnomalyRecord, AttemptRecord, JobRecord
from tests.web.place import Place, a_place, now, served
from tests.web.stories import CHAIN, REQUEUES, Teller, seconds, verification


@dataclass(frozen=True)
class Trouble:
    """A cause as a log tells it; ``{n}`` is a node, ``{r}`` a rank."""

    kind: Kind
    cause: str
    text: str
    recovery: Recovery = Recovery.REQUEUE
    facts: tuple[tuple[str, str], ...] = ()


TROUBLES = {
    "segfault": Trouble(
        Kind.CRASH,
        "segfault",
        "[{n}:31417] *** Process received signal *** Signal: Segmentation fault (11)",
        facts=(("signal", "11"),),
    ),
    "xid": Trouble(
        Kind.HARDWARE,
        "xid",
        "NVRM: Xid (PCI:0000:4e:00): 79, pid=31417, GPU has fallen off the bus.",
        Recovery.REQUEUE_EXCLUDE,
        (("xid", "79"), ("gpu", "3")),
    ),
    "ecc": Trouble(
        Kind.HARDWARE,
        "gpu_ecc",
        "RuntimeError: CUDA error: uncorrectable ECC error encountered on {n}",
        Recovery.REQUEUE_EXCLUDE,
        (("gpu", "6"),),
    ),
    "oom": Trouble(
        Kind.OOM,
        "oom_gpu",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.15 GiB",
    ),
    "ib": Trouble(
        Kind.NETWORK, "ib_network", "{n}: mlx5_0: port 1: link down, retry exceeded (vend_err 129)"
    ),
    "nan": Trouble(
        Kind.NUMERIC,
        "loss_nan",
        "rank {r}: loss is nan at step 18200, stopping",
        Recovery.STOP,
    ),
    "python": Trouble(
        Kind.USER,
        "python_exception",
        "KeyError: 'optimizer_state' in load_checkpoint()",
        Recovery.STOP,
    ),
    "storage": Trouble(
        Kind.STORAGE,
        "storage",
        "OSError: [Errno 5] Input/output error: '/lustre/ckpt/step_9000.pt'",
    ),
    "hang": Trouble(
        Kind.HANG,
        "nccl_timeout",
        "[Rank {r}] Watchdog caught collective operation timeout: WorkNCCL(SeqNum=88213)",
    ),
}
NAMES = (
    ("gpt-13b-pretrain", "mira", "a100"),
    ("llama-sft-v4", "jonas", "a100"),
    ("diffusion-xl", "wei", "h100"),
    ("protein-fold-msa", "amara", "h100"),
    ("climate-emulator", "sofia", "gpu"),
    ("rlhf-reward", "jonas", "gpu"),
    ("speech-enc-large", "tomas", "gpu"),
    ("qcd-lattice-48", "priya", "cpu"),
    ("graph-transformer", "wei", "a100"),
)
HEALTHY = ("completed", "completed", "completed", "cancelled", "others")
FATES = ("recovered", "recovered", "recovered", "twice", "stopped", "failed", *HEALTHY)


class Week:
    """Tells the stories of a week that ends now."""

    def __init__(self, teller: Teller, end: datetime, seed: int = 11) -> None:
        self._teller = teller
        self._end = end
        self._random = random.Random(seed)  # noqa: S311 -- a picture, no secret
        self._number = 88100

    async def tell_before(self, jobs: int = 48) -> None:
        """What happened in the seven weeks before."""
        for _ in range(jobs):
            fate = self._random.choice(("recovered", "recovered", "twice", "stopped", "failed"))
            await self._job(self._end - self._hours(180, 1250), fate)

    async def tell(self, jobs: int = 44) -> None:
        """All jobs, the oldest first."""
        ages = sorted((self._random.uniform(0.4, 33) for _ in range(jobs - 10)), reverse=True)
        ages = [*(self._random.uniform(48, 150) for _ in range(16)), *ages]
        for number, hours in enumerate(ages):
            fate = FATES[number % len(FATES)] if hours > 9 else "running"
            await self._job(self._end - timedelta(hours=hours), fate)
        await self._chain(self._end - timedelta(hours=21))
        await verification(self._teller, self._end - timedelta(hours=9), self._next())
        await self._waiting()

    def _next(self) -> str:
        self._number += self._random.randint(1, 9)
        return str(self._number)

    def _nodes(self) -> tuple[str, int, str]:
        first, count = self._random.randint(1, 24), self._random.choice((1, 2, 4, 8))
        first = 7 if self._random.random() < 0.25 else first
        names = f"gpu{first:02d}" if count == 1 else f"gpu[{first:02d}-{first + count - 1:02d}]"
        return names, count, f"gpu{first:02d}"

    async def _job(self, at: datetime, fate: str) -> None:
        name, user, partition = self._random.choice(NAMES)
        managed, budgets = fate != "failed", (2, 3) if fate == "twice" else (1, 2, 3)
        job = await self._teller.job(
            self._next(),
            at - timedelta(minutes=self._random.uniform(1, 70)),
            name=name,
            user=user,
            partition=partition,
            comment=REQUEUES % self._random.choice(budgets) if managed else "",
            managed=managed,
            note="" if managed else 'the job comment has no "APS" directive',
        )
        told: Callable[[JobRecord, datetime], Awaitable[None]] = getattr(self, f"_{fate}")
        await told(job, at)

    async def _start(self, job: JobRecord, idx: int, at: datetime) -> tuple[AttemptRecord, str]:
        nodes, count, suspect = self._nodes()
        return await self._teller.attempt(job, idx, at, nodes, count), suspect

    async def _over(self, job: JobRecord, attempt: AttemptRecord, at: datetime, state: str) -> None:
        at = min(at, self._end - seconds(40))
        ended = await self._teller.ends(attempt, at, state)
        await self._teller.state(job, at, state, closed=True, restarts=attempt.idx)
        await self._teller.efficiency(job, ended, starting=self._random.uniform(40, 160))

    def _hours(self, low: float, high: float) -> timedelta:
        return timedelta(hours=self._random.uniform(low, high))

    async def _completed(self, job: JobRecord, at: datetime) -> None:
        attempt, _ = await self._start(job, 0, at)
        await self._over(job, attempt, at + self._hours(2, 11), "COMPLETED")

    async def _cancelled(self, job: JobRecord, at: datetime) -> None:
        attempt, _ = await self._start(job, 0, at)
        await self._over(job, attempt, at + self._hours(0.5, 4), "CANCELLED")

    async def _running(self, job: JobRecord, at: datetime) -> None:
        if self._random.random() < 0.4:
            at = await self._breaks(job, 0, at, at + (self._end - at) * 0.45, 1)
            await self._start(job, 1, at)
        else:
            await self._start(job, 0, at)

    async def _others(self, job: JobRecord, at: datetime) -> None:
        first, _ = await self._start(job, 0, at)
        end = at + self._hours(1, 3)
        await self._teller.ends(first, end, "REQUEUED")
        second, _ = await self._start(job, 1, end + self._hours(0.2, 0.8))
        await self._over(job, second, end + self._hours(2, 7), "COMPLETED")

    async def _failed(self, job: JobRecord, at: datetime) -> None:
        attempt, suspect = await self._start(job, 0, at)
        end = at + self._hours(0.5, 5)
        await self._find(job, attempt, end, suspect, self._random.choice(("oom", "python")))
        await self._over(job, attempt, end + seconds(8), "FAILED")

    async def _recovered(self, job: JobRecord, at: datetime) -> None:
        at = await self._breaks(job, 0, at, at + self._hours(1, 5), 1)
        attempt, _ = await self._start(job, 1, at)
        await self._over(job, attempt, at + self._hours(2, 8), "COMPLETED")

    async def _twice(self, job: JobRecord, at: datetime) -> None:
        at = await self._breaks(job, 0, at, at + self._hours(1, 3), 1)
        at = await self._breaks(job, 1, at, at + self._hours(0.6, 2), 2)
        attempt, _ = await self._start(job, 2, at)
        await self._over(job, attempt, at + self._hours(2, 6), "COMPLETED")

    async def _stopped(self, job: JobRecord, at: datetime) -> None:
        attempt, suspect = await self._start(job, 0, at)
        end = at + self._hours(0.5, 4)
        which = self._random.choice(("nan", "python"))
        found = await self._find(job, attempt, end, suspect, which)
        ended = await self._teller.ends(attempt, end + seconds(4), "CANCELLED")
        why = "the same input fails again; another try is pointless"
        await self._teller.decision(job, attempt, found, Verb.STOP, why)
        await self._teller.state(job, end + seconds(5), "CANCELLED", closed=True)
        await self._teller.efficiency(job, ended, which, lost=240, detection=2.3, kill=1.9)

    async def _breaks(
        self, job: JobRecord, idx: int, at: datetime, end: datetime, used: int
    ) -> datetime:
        """An attempt that is recovered; the moment at which its successor starts."""
        attempt, suspect = await self._start(job, idx, at)
        which = self._random.choice(("segfault", "xid", "ecc", "ib", "storage", "hang", "xid"))
        found = await self._find(job, attempt, end, suspect, which)
        ended = await self._teller.ends(attempt, end + seconds(5), "REQUEUED")
        exclude = suspect if TROUBLES[which].recovery is Recovery.REQUEUE_EXCLUDE else ""
        budget = job.comment.rpartition(": ")[2].rstrip("} ")
        why = f"requeue {used} of {budget}"
        await self._teller.decision(job, ended, found, Verb.REQUEUE, why, used, exclude)
        if exclude:
            await self._teller.suspicion(ended, suspect, found, excluded=True)
        await self._account(job, ended, which)
        return end + seconds(self._random.choice((11, 14, 420)))

    async def _account(self, job: JobRecord, ended: AttemptRecord, cause: str) -> None:
        lost = self._random.uniform(120, 2400)
        parts: dict[str, Any] = {
            "queued": self._random.uniform(20, 3000),
            "starting": self._random.uniform(40, 160),
            "lost": lost,
            "detection": self._random.uniform(2, 30),
            "kill": self._random.uniform(1, 5),
            "requeue_wait": self._random.uniform(6, 60),
            "restart": self._random.uniform(60, 240),
            "saved": 1800.0,
        }
        await self._teller.efficiency(job, ended, cause, **parts)

    async def _find(
        self, job: JobRecord, attempt: AttemptRecord, at: datetime, node: str, which: str
    ) -> AnomalyRecord:
        trouble, rank = TROUBLES[which], str(self._random.randint(0, 31))
        source = f"/lustre/{job.user}/{job.name}/slurm-{job.job_id}.out"
        found = await self._teller.anomaly(
            attempt,
            at,
            trouble.text.format(n=node, r=rank),
            kind=trouble.kind,
            cause=trouble.cause,
            recovery=trouble.recovery,
            facts={"rank": rank, "node": node, **dict(trouble.facts)},
            source=source,
            after=(f"srun: error: {node}: task {rank}: Aborted", "srun: Terminating StepId=0"),
        )
        for number in range(self._random.choice((0, 1, 3, 6))):
            await self._teller.anomaly(
                attempt,
                at + seconds(1.5 + number * 0.4),
                f"[Rank {number}] NCCL watchdog: some operations have failed or timed out",
                kind=Kind.HANG,
                cause="nccl_timeout",
                role=Role.CASCADE,
                facts={"rank": str(number)},
                source=source,
            )
        return found

    async def _chain(self, at: datetime) -> None:
        """A workflow of three jobs; the second one starts where the first one broke."""
        values = {
            "name": "era5-assimilation",
            "user": "sofia",
            "partition": "h100",
            "comment": CHAIN,
        }
        first = await self._teller.job(self._next(), at - seconds(900), **values)
        second = await self._teller.job(self._next(), at - seconds(890), **values)
        await self._teller.job(self._next(), at - seconds(880), **values, reason="Dependency")
        attempt, suspect = await self._start(first, 0, at)
        end = at + timedelta(hours=8)
        found = await self._find(first, attempt, end, suspect, "ib")
        await self._teller.ends(attempt, end + seconds(4), "CANCELLED")
        why, ends = "the next job of the chain takes over", Outcome.CHAIN_CONTINUES
        await self._teller.decision(first, attempt, found, Verb.CHAIN, why, outcome=ends)
        await self._teller.state(first, end + seconds(5), "CANCELLED", closed=True)
        await self._start(second, 0, end + seconds(70))

    async def _waiting(self) -> None:
        for minutes, (name, user, partition) in ((35, NAMES[2]), (12, NAMES[5])):
            at = self._end - timedelta(minutes=minutes)
            values = {"name": name, "user": user, "partition": partition, "comment": REQUEUES % 3}
            await self._teller.job(self._next(), at, **values)


async def fill(place: Place, end: datetime | None = None) -> None:
    """Writes the week into a place's store; somebody leads."""
    await place.store.acquire_lease("3fa9c1", "head1", 4711, 20.0)
    week = Week(place.teller, end or now())
    await week.tell_before()
    await week.tell()


async def _serve(folder: Path, port: int) -> None:
    async with a_place(folder) as place:
        await fill(place)
        async with served(place, port) as address:
            sys.stdout.write(f"{address}\n")
            sys.stdout.flush()
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0))
