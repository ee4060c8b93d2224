"""Jobs crash at random on a private Slurm while everything else fails at random, too.

Some 200 jobs, each with its own directive and its own ways to break, run on a lab while services,
database, controller and nodes are killed, frozen and cut off. Each job writes what really happened
to it into a ledger that ajrd does not read. When the faults are over and everything has settled,
what was wanted is held against what was done. Exit code 1 if a recovery was lost, if anything was
done that must not be, or if a job was left held; the folder with all logs is then kept.

    bench/run soak --minutes 2 --jobs 30      a small one
    bench/run soak --seed 4711                the same jobs and faults again, at the same times
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from random import SystemRandom

from rich.console import Console

from ajrd.model import DecisionState, JobInfo, JobState
from bench.soak import report
from bench.soak.faults import Faults, strikes
from bench.soak.ledger import read_ledgers
from bench.soak.population import population
from bench.soak.reckoning import Count, Fate, reckon
from bench.soak.scene import Scene
from bench.soak.setback import requeued_by_slurm

#: Jobs come in this share of the time, faults in that one; the rest is for what is under way.
JOBS_UNTIL, FAULTS_UNTIL = 0.7, 0.9
#: Seconds until everything must have settled: two minutes are Slurm's own, after its own requeues.
SETTLED = 300.0
#: Calls that block in threads; a frozen controller keeps many of them.
THREADS = 64


def main() -> int:
    """Exit code 1 if one of the counts that must be 0 is not."""
    parser = _parser()
    options = parser.parse_args()
    if options.store == "sqlite" and options.services > 1:
        parser.error("an embedded store has one service: --services 1")
    folder = Path(tempfile.mkdtemp(prefix="ajrd-soak-"))
    folder.chmod(0o755)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"seed {options.seed}, {options.jobs} jobs, {options.minutes:g} minutes", end="")
    console.print(f", {options.store}, services: {options.services}; everything is in {folder}")
    with ExitStack() as stack:
        scene = Scene(folder, stack, mysql=options.store == "mysql", services=options.services)
        wrong = asyncio.run(_soak(scene, options, console))
    if wrong or options.keep:
        console.print(f"\nall logs are in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if wrong else 0


async def _soak(scene: Scene, options: argparse.Namespace, console: Console) -> int:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
    seconds = options.minutes * 60
    faults = Faults(scene)
    mysql = options.store == "mysql"
    async with asyncio.TaskGroup() as tasks:
        units = [tasks.create_task(u.keep()) for u in (*scene.units, scene.watchdog)]
        async with asyncio.TaskGroup() as play:
            groups = population(options.seed, options.jobs, JOBS_UNTIL * seconds)
            play.create_task(scene.submit_all(groups))
            plan = strikes(options.seed, FAULTS_UNTIL * seconds, mysql=mysql)
            play.create_task(faults.inject(plan))
        console.print(f"the last fault and submission are over: {faults.counts.total()} faults")
        final = await _settle(scene, faults.set_back, console)
        for unit in units:
            unit.cancel()
    jobs = [*scene.submissions.values()]
    by_slurm = requeued_by_slurm(scene.controller_log.read_text(errors="replace"))
    counts = reckon(jobs, read_ledgers(scene.ledgers), final, faults.set_back, by_slurm)
    return _tell(scene, faults, counts, console)


async def _settle(scene: Scene, set_back: set[str], console: Console) -> list[JobInfo]:
    """What Slurm shows when nothing is open any more, or when it takes too long."""
    others = {job.job_id for job in scene.submissions.values() if job.meddled_at is not None}
    deadline = time.monotonic() + SETTLED
    while True:
        await asyncio.sleep(2)
        jobs = await scene.jobs()
        ours = [job for job in jobs if job.job_id not in set_back | others]
        waiting = [f"{job.job_id} {job.state} {job.reason}" for job in ours if _open(job)]
        waiting += _undecided(scene)
        if not waiting:
            return jobs
        if time.monotonic() > deadline:
            console.print(f"not settled after {SETTLED:g} s: {', '.join(waiting)}", style="red")
            return jobs


def _open(job: JobInfo) -> bool:
    """Is something still to come of this job?"""
    waits = job.state is JobState.PENDING and job.reason not in _LEFT_TO_OTHERS
    return job.alive or waits


#: Reasons of jobs that others keep from starting.
_LEFT_TO_OTHERS = frozenset({"JobHeldUser", "JobHeldAdmin", "Dependency"})


def _undecided(scene: Scene) -> list[str]:
    """Decisions that are open; the store must answer."""
    return [
        f"decision on {history.job.job_id}"
        for history in scene.histories()
        for attempt in history.attempts
        if attempt.decision is not None and attempt.decision.state is DecisionState.OPEN
    ]


def _tell(scene: Scene, faults: Faults, counts: list[Count], console: Console) -> int:
    histories = scene.histories()
    wrong = [count for count in counts if count.fate is not Fate.DONE]
    ledgers = {(ledger.number, ledger.job_id): ledger for ledger in read_ledgers(scene.ledgers)}
    logs = [service.log for service in scene.services]
    logs += [scene.watchdog.log, scene.controller_log]
    for count in wrong:
        number = scene.submissions[count.job_id].plan.number
        ledger = ledgers.get((number, count.job_id))
        known = next((h for h in histories if h.job.job_id == count.job_id), None)
        report.explain(console, count, ledger.executions if ledger else [], known, logs)
    console.print(report.store_table(histories))
    console.print(report.faults_table(faults.counts))
    console.print(report.counts_table(counts))
    if faults.set_back:
        forgotten = f"{len(faults.set_back)} jobs are not counted: slurmctld was killed before it"
        console.print(f"{forgotten} had saved them: {', '.join(sorted(faults.set_back))}")
    return len(wrong)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bench/run soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=15.0, help="without the settling after it")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000))
    parser.add_argument("--store", choices=("sqlite", "mysql"), default="mysql")
    parser.add_argument("--services", type=int, choices=(1, 2), default=2)
    parser.add_argument("--keep", action="store_true", help="keep the folder in any case")
    return parser


if __name__ == "__main__":
    sys.exit(main())
