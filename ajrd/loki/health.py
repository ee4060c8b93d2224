"""How reading from Loki goes: counters for metrics, and a state whose changes are told."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

import structlog

from ajrd.errors import LokiDenied, LokiRefused, LokiUnavailable

log = structlog.get_logger("ajrd.loki")


class State(StrEnum):
    """UNKNOWN: not asked yet. AWAY passes by itself; DENIED and REFUSED need somebody."""

    UNKNOWN = "unknown"
    WELL = "well"
    AWAY = "away"
    DENIED = "denied"
    REFUSED = "refused"


@dataclass(slots=True)
class Health:
    """One tenant.

    ``lag`` is how far behind now everything has been read, seconds. ``entries`` were read, those of
    an overlap each time; ``unmanaged`` of them belong to no job that opted in, ``early`` to a time
    that Slurm has not been asked about yet. ``found`` anomalies were told, ``swept`` of them by the
    sweep first. ``tails`` are open; ``dropped`` entries they named as dropped (they drop more than
    they name). ``unsplit`` groups of equal time were too large for any answer. ``errors`` go by
    their kind.
    """

    tenant: str
    state: State = State.UNKNOWN
    why: str = ""
    lag: float = 0.0
    requests: int = 0
    entries: int = 0
    unmanaged: int = 0
    early: int = 0
    found: int = 0
    swept: int = 0
    dropped: int = 0
    tails: int = 0
    unsplit: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def well(self) -> None:
        """Everything that was asked for was answered."""
        self._become(State.WELL, "")

    def fault(self, error: LokiUnavailable) -> None:
        """A question was not answered."""
        self.errors[type(error).__name__] += 1
        state = State.AWAY
        if isinstance(error, LokiRefused):
            state = State.DENIED if isinstance(error, LokiDenied) else State.REFUSED
        self._become(state, str(error))

    def _become(self, state: State, why: str) -> None:
        changed = state is not self.state
        self.state, self.why = state, why
        if changed:
            tell = log.info if state is State.WELL else log.error
            tell("loki", tenant=self.tenant, state=state.value, why=why)
