"""What the jobs did, by their own word: one file a job, a line for what happened in an attempt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.soak.population import Act


@dataclass(slots=True)
class Execution:
    """One run of a job's script; times are seconds since the epoch, None: it did not come so far.

    ``attempt`` is Slurm's restart counter as the job was told it.
    """

    attempt: int
    act: Act
    started: float
    broke: float | None = None
    finished: float | None = None

    @property
    def healthy(self) -> bool:
        """Was it still at work when it was last heard of?"""
        return self.broke is None and self.finished is None


@dataclass(slots=True)
class Ledger:
    """The executions of one job in the order of their starts. ``number`` is that of its plan."""

    number: int
    job_id: str
    executions: list[Execution] = field(default_factory=list)


def read_ledgers(folder: Path) -> list[Ledger]:
    """All of them."""
    return [read_ledger(file.name, file.read_text()) for file in folder.iterdir()]


def read_ledger(name: str, text: str) -> Ledger:
    """From the name and the lines of one file."""
    number, _, job_id = name.partition(".")
    ledger = Ledger(int(number), job_id)
    for what, attempt, act, when in _entries(text):
        if what == "started":
            ledger.executions.append(Execution(attempt, act, when))
        elif what == "broke":
            ledger.executions[-1].broke = when
        else:
            ledger.executions[-1].finished = when
    return ledger


def _entries(text: str) -> Iterator[tuple[str, int, Act, float]]:
    for line in text.splitlines():
        what, attempt, act, when = line.split()
        yield what, int(attempt), Act(act), float(when)
