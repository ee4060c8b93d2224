"""The durable moments of a service, at which fault tests kill or freeze it.

Named as the checkpoints of :mod:`ajrd.store.store` and :mod:`ajrd.recovery.driver` are.
"""

from __future__ import annotations

from collections.abc import Sequence

from ajrd.model import Step, Verb
from ajrd.recovery.sequence import STEPS

#: Between them, and before and after them, lies every place where a step can be torn apart.
_OF_A_STEP = (
    "commit_before:claiming {}",
    "commit_after:claiming {}",
    "ran:{}",
    "commit_after:finishing {}",
)
#: What is written before a decision on a job, and after it.
RECORDS = (
    "recording job",
    "updating job",
    "recording attempt_started",
    "recording evidence",
    "recording attempt_ended",
)
LEASE = ("taking the lease", "renewing the lease", "giving back the lease")


def around(*commits: str) -> list[str]:
    """The moments before and after commits."""
    return [f"commit_{when}:{commit}" for commit in commits for when in ("before", "after")]


def of_steps(steps: Sequence[Step]) -> list[str]:
    """The moments of the steps of a decision."""
    return [moment.format(step) for step in steps for moment in _OF_A_STEP]


OF_A_REQUEUE = [
    *around(*RECORDS, "writing a decision"),
    *of_steps(STEPS[Verb.REQUEUE]),
    *around("closing decision"),
]
