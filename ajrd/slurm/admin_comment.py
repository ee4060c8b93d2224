"""ajrd's own words in a job's AdminComment, beside those of other people.

AdminComment survives requeues and is shown by ``squeue -O admin_comment``. ajrd's words stand
in one bracket, ``[ajrd a0 n1 hold<1795520058 by 3fa9c1 CRASH segfault: requeue 1 of 3]``: the
attempt that it acts on, the requeues used with this one, the deadline of a hold as a UNIX time
(0: none), the process that wrote it, the reason. Everything outside the bracket belongs to others
and is kept. Only administrators can write there, so it is a witness: the deadline lets a watchdog
release a hold of a dead ajrd, the number keeps the budget while the database is away, the writer
tells two head nodes apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime

#: Numbers of other lengths are no mark of ajrd's, and no time that Python knows.
_MARK = re.compile(
    r"\[ajrd a(\d{1,9}) n(\d{1,9}) hold<(\d{1,11}) by (\S{1,32}) ([^\[\]]*)\]", re.ASCII
)
_UNSAFE = re.compile(r"[^\x20-\x7e]|[\[\]\"']")
MAX_REASON = 200
#: The longest comment that Slurm takes at a submission, bytes (slurmctld.h, MAX_COMMENT_LEN).
MAX_COMMENT = 1024


@dataclass(frozen=True, slots=True)
class Mark:
    """What ajrd said of a job: attempt index, deadline of the hold (None: no hold), reason.

    ``used`` counts the requeues of the job by ajrd, this one included; ``by`` names the process.
    """

    attempt: int
    hold_deadline: datetime | None
    reason: str
    used: int = 0
    by: str = "-"

    def __str__(self) -> str:
        deadline = int(self.hold_deadline.timestamp()) if self.hold_deadline else 0
        reason = _UNSAFE.sub("_", self.reason)[:MAX_REASON].strip()
        return f"[ajrd a{self.attempt} n{self.used} hold<{deadline} by {self.by} {reason}]"

    def used_before(self, attempt: int) -> int:
        """The requeues before an attempt; one that was announced for it has not taken place."""
        announced = self.attempt == attempt and self.hold_deadline is not None
        return self.used - 1 if announced else self.used


def read_mark(comment: str) -> Mark | None:
    """The newest mark of ajrd in an AdminComment."""
    marks = _MARK.findall(comment)
    if not marks:
        return None
    attempt, used, deadline, by, reason = marks[-1]
    when = datetime.fromtimestamp(int(deadline), UTC) if int(deadline) else None
    return Mark(int(attempt), when, reason, int(used), by)


def with_mark(comment: str, mark: Mark) -> str:
    """``comment`` with ajrd's earlier marks replaced by ``mark``, other text kept.

    Other text comes first: where it leaves no room the reason is cut, and where it leaves none at
    all the comment stays without a mark.
    """
    others = _MARK.sub("", comment).strip()
    if not others:
        return str(mark)
    room = MAX_COMMENT - len(others.encode()) - 1 - len(str(replace(mark, reason="")))
    if room < 0:
        return others
    return f"{others} {replace(mark, reason=mark.reason[:room])}"
