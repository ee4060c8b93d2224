"""How the hand-off of suspected nodes goes, for metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ajrd.errors import RemoteUnavailable
from ajrd.slurm.nodes import NodeInfo


class Question(StrEnum):
    """What the hardware service is asked."""

    REPORT = "report"
    VERDICT = "verdict"


class Reply(StrEnum):
    """What came of it: an answer that could be used, another one, or none."""

    ANSWERED = "answered"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"


class Drained(StrEnum):
    """How a suspicion ended that might have drained its node.

    LATE: the budget or Slurm did not allow it while it was fresh. LEFT: it must not be drained.
    UNCLEAR: the command may have run.
    """

    DRAINED = "drained"
    FAILED = "failed"
    UNCLEAR = "unclear"
    LATE = "late"
    LEFT = "left"


@dataclass(slots=True)
class HandoffHealth:
    """One leader's. ``reports`` and ``budget`` tell which parts there are.

    ``open`` reports wait for the service or its verdict, ``failing_since`` is when it first did not
    answer them as it should; ``drained`` nodes were seen drained by ajrd, ``budget`` may be.
    """

    reports: bool
    budget: int | None
    requests: Counter[tuple[Question, Reply]] = field(default_factory=Counter)
    open: int = 0
    failing_since: datetime | None = None
    drains: Counter[Drained] = field(default_factory=Counter)
    drained: int = 0

    def answered(self, question: Question) -> None:
        """The service does what it should."""
        self.requests[question, Reply.ANSWERED] += 1
        self.failing_since = None

    def failed(self, question: Question, error: RemoteUnavailable, now: datetime) -> None:
        """It does not."""
        self.requests[question, Reply.REFUSED if error.status else Reply.UNAVAILABLE] += 1
        self.failing_since = self.failing_since or now

    def waits(self, reports: int) -> None:
        """So many reports are open; a service that nobody needs fails nobody."""
        self.open = reports
        if not reports:
            self.failing_since = None

    def failing(self, now: datetime) -> float:
        """Seconds for which it has failed; 0 if it has not."""
        since = self.failing_since
        return 0.0 if since is None else max((now - since).total_seconds(), 0.0)

    def see(self, nodes: Iterable[NodeInfo]) -> None:
        """Counts the nodes that are drained by ajrd now."""
        self.drained = sum(each.drained_by_ajrd for each in nodes)
