"""How delivering to one endpoint goes, for metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ajrd.errors import RemoteUnavailable


class Outcome(StrEnum):
    """What came of one try. GIVEN_UP was the last one of an event that was never taken."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    GIVEN_UP = "given_up"


@dataclass(slots=True)
class EndpointHealth:
    """One endpoint; ``waits_since`` is the time of the oldest event that it has yet to take."""

    endpoint: str
    tries: Counter[Outcome] = field(default_factory=Counter)
    waits_since: datetime | None = None

    def failed(self, error: RemoteUnavailable) -> None:
        """It answered otherwise than well, or not at all, or was not even asked."""
        self.tries[Outcome.REFUSED if error.status else Outcome.UNAVAILABLE] += 1

    def lag(self, now: datetime) -> float:
        """Seconds for which that event has waited; 0 if none does."""
        since = self.waits_since
        return 0.0 if since is None else max((now - since).total_seconds(), 0.0)
