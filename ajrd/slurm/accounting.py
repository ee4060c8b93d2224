"""What Slurm's accounting has of jobs that are over, by ``sacct``.

slurmdbd may be away for hours and is told late; nothing here is needed for a recovery. Only fields
that Slurm itself writes are asked for, none whose text users choose, and they are still told apart
by a separator that is random for each call. ``Eligible`` is not among them: that of an execution
which a requeue has ended is the one of its successor (seen on 22.05).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ajrd.errors import SlurmUnavailable
from ajrd.slurm.process import environment, run

#: Of each execution of a job; ``-D`` brings those that a requeue has ended.
FIELDS = ("JobIDRaw", "Start", "End")
#: So many jobs are asked about at once.
MOST = 200


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of a job as accounting has it, whole seconds."""

    raw_id: int
    start: datetime
    end: datetime


class Sacct:
    """``sacct`` on one cluster. ``conf``, ``bin_dir``, ``timeout`` as of the other commands."""

    def __init__(
        self, conf: str | None = None, bin_dir: str | None = None, timeout: float = 10.0
    ) -> None:
        self._command = os.path.join(bin_dir, "sacct") if bin_dir else "sacct"
        self._env = environment(os.environ, conf)
        self._timeout = timeout

    async def executions(self, raw_ids: Iterable[int]) -> list[Execution]:
        """Every execution of the jobs that is over; raises SlurmUnavailable."""
        sep = f"<{secrets.token_hex(12)}>"
        jobs = ",".join(str(number) for number in raw_ids)
        argv = (self._command, "-D", "-X", "-n", "-P", f"--delimiter={sep}", "-j", jobs)
        done = await run((*argv, "-o", ",".join(FIELDS)), self._env, self._timeout)
        if done.code:
            said = (done.err or done.out).strip().splitlines()
            raise SlurmUnavailable(f"sacct failed: {said[-1] if said else done.code}"[:300])
        try:
            return executions(done.out, sep)
        except ValueError as error:
            raise SlurmUnavailable(
                f"sacct gave an answer that ajrd cannot read: {error}"
            ) from error


def executions(text: str, separator: str) -> list[Execution]:
    """The executions in what sacct printed; those that have not started or ended are left out."""
    found = []
    for line in text.splitlines():
        raw_id, start, end = line.split(separator)
        started, ended = _time(start), _time(end)
        if raw_id.isdigit() and started is not None and ended is not None:
            found.append(Execution(int(raw_id), started, ended))
    return found


def _time(text: str) -> datetime | None:
    """Seconds since 1970; ``Unknown`` and ``None`` are said of what has not happened."""
    return datetime.fromtimestamp(int(text), UTC) if text.isdigit() and int(text) else None
