"""Who is submitted: jobs that crash in different ways, as their owners ask for different things.

Everything comes from one seed. What a job does in its attempt ``i`` stands in its script, so the
job itself writes the truth into its ledger, out of ajrd's sight.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from random import Random

from ajrd.model import ResumeMode


class Act(StrEnum):
    """How one attempt goes."""

    FINISH = "finish"
    FALSE_ALARM = "false_alarm"
    STAY = "stay"
    EXIT = "exit"
    SIGNAL = "signal"
    BUG = "bug"

    @property
    def retryable(self) -> bool:
        """Does it break in a way for which another attempt makes sense?"""
        return self in (Act.STAY, Act.EXIT, Act.SIGNAL)


#: Each recognised, each worth another attempt.
CRASHES = (
    "Rank0: (1) segmentation fault: artificial segfault",
    "RuntimeError: CUDA error: an illegal memory access was encountered",
    "Bus error (core dumped)",
    "OSError: [Errno 5] Input/output error: '/data/shard-17'",
)
_WEIGHTS = {
    Act.FINISH: 20,
    Act.FALSE_ALARM: 10,
    Act.STAY: 30,
    Act.EXIT: 20,
    Act.SIGNAL: 12,
    Act.BUG: 8,
}
#: Seconds of work before an attempt breaks or finishes.
SHORTEST, LONGEST = 3, 40
#: The share of jobs that are cancelled or held by their users.
MEDDLED = 0.12


@dataclass(frozen=True, slots=True)
class Meddling:
    """What the user does to the job, ``after`` so many seconds from its submission."""

    after: float
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One job. ``mode`` None: its owner asks for nothing. ``steps`` are the seconds of each act."""

    number: int
    name: str
    mode: ResumeMode | None
    budget: int
    acts: tuple[Act, ...]
    steps: tuple[int, ...]
    crash: str
    held: bool = False
    meddling: Meddling | None = None

    @property
    def options(self) -> list[str]:
        """Those of sbatch."""
        said = [f"--job-name={self.name}", "--output=%x.%j.out"]
        if self.mode is not None:
            aps = {"auto_resume_mode": self.mode.value, "max_requeue_times": self.budget}
            said.append(f"--comment={json.dumps({'APS': aps})}")
        if self.mode is ResumeMode.SINGLETON:
            said.append("--dependency=singleton")
        return [*said, "--hold"] if self.held else said

    def script(self, ledgers: Path) -> str:
        """A batch script that works, breaks, and notes both in its file in ``ledgers``."""
        return _SCRIPT.format(
            ledger=shlex.quote(f"{ledgers}/{self.number}."),
            acts=" ".join(self.acts),
            steps=" ".join(map(str, self.steps)),
            crash=shlex.quote(self.crash),
        )


@dataclass(frozen=True, slots=True)
class Group:
    """Jobs that are submitted one after the other, ``after`` so many seconds."""

    after: float
    plans: tuple[Plan, ...]


def population(seed: int, jobs: int, seconds: float) -> list[Group]:
    """So many jobs, submitted within ``seconds``."""
    random = Random(f"{seed} jobs")  # noqa: S311 -- repeatable, no secret
    return list(_groups(random, jobs, seconds))


def _groups(random: Random, jobs: int, seconds: float) -> Iterator[Group]:
    first = 0
    while first < jobs:
        size = min(random.choice((1, 1, 1, 1, 1, 1, 3, 4)), jobs - first)
        numbers = range(first, first + size)
        make = _alone if size == 1 else _link
        yield Group(random.uniform(0, seconds), tuple(make(random, n, first) for n in numbers))
        first += size


def _alone(random: Random, number: int, _first: int) -> Plan:
    budget = random.randint(0, 3)
    mode = ResumeMode.REQUEUE if random.random() < 0.92 else None
    return _plan(random, number, f"job{number}", mode, budget)


def _link(random: Random, number: int, first: int) -> Plan:
    plan = _plan(random, number, f"chain{first}", ResumeMode.SINGLETON, budget=0)
    return replace(plan, held=number > first and random.random() < 0.4)


def _plan(random: Random, number: int, name: str, mode: ResumeMode | None, budget: int) -> Plan:
    acts = random.choices([*_WEIGHTS], [*_WEIGHTS.values()], k=budget + 2)
    if mode is None:
        acts = [Act.EXIT if act is Act.STAY else act for act in acts]
    return Plan(
        number=number,
        name=name,
        mode=mode,
        budget=budget,
        acts=tuple(acts),
        steps=tuple(random.randint(SHORTEST, LONGEST) for _ in acts),
        crash=random.choice(CRASHES),
        meddling=_meddling(random),
    )


def _meddling(random: Random) -> Meddling | None:
    if random.random() >= MEDDLED:
        return None
    command = random.choice((("scancel",), ("scontrol", "hold"), ("scontrol", "uhold")))
    return Meddling(random.uniform(1, 2 * LONGEST), command)


#: An attempt that Slurm makes beyond those foreseen finishes.
_SCRIPT = """#!/bin/bash
ulimit -c 0
attempt=${{SLURM_RESTART_COUNT:-0}}
acts=({acts})
steps=({steps})
act=${{acts[attempt]:-finish}}
note() {{ echo "$1 $attempt $act $EPOCHREALTIME" >> {ledger}$SLURM_JOB_ID; }}
step() {{ printf '[%(%F %T)T] iteration %d/ 1000 | time per iteration (ms): 1000.0\n' -1 "$1"; }}
crash={crash}
note started
for ((i = 1; i <= ${{steps[attempt]:-5}}; i++)); do
    step $i
    sleep 1
done
case $act in
finish)
    note finished
    ;;
false_alarm)
    echo "$crash"$'\\n'"$(step $i)"
    sleep 8
    note finished
    ;;
stay)
    note broke
    echo "$crash"
    exec sleep 100000
    ;;
exit)
    note broke
    echo "$crash"
    exit 1
    ;;
signal)
    note broke
    kill -SEGV $$
    ;;
bug)
    note broke
    echo "Traceback (most recent call last):"
    echo '  File "train.py", line 3, in <module>'
    echo "ValueError: unknown optimizer 'adan'"
    exit 1
    ;;
esac
"""
