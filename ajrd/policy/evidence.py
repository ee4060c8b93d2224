"""When is the evidence of an attempt ripe for a decision, and what of it still stands?

A suspicious line is answered by progress: an attempt that goes on making steps after it is
not broken (invariant 7). What stands unanswered for ``settle`` seconds, or when the attempt
has ended, is ripe. Lines of different files have no common order but the time they were read,
which lags by at most ``progress_lag``.

Once an attempt has ended there is nothing left to protect, and the last steps that other ranks
printed in the second after a crash must not hide it: then only progress well after the line
(``ENDED_LAG`` seconds or ``ENDED_BYTES`` further down the same file) answers it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ajrd.model import Anomaly, Recovery, Role

ENDED_LAG = 30.0
ENDED_BYTES = 16384


@dataclass(frozen=True, slots=True)
class Pulse:
    """The newest progress line of one source: its byte offset, and when it was read."""

    source: str
    offset: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Ripeness:
    """``standing`` is the evidence not answered by progress; act on it at ``due``."""

    standing: tuple[Anomaly, ...]
    vetoed: tuple[Anomaly, ...]
    due: datetime | None


def weigh(
    anomalies: Sequence[Anomaly],
    pulses: Iterable[Pulse],
    *,
    ended: bool,
    settle: float,
    progress_lag: float = 1.0,
) -> Ripeness:
    """Splits the evidence and says when to act: ``due`` None means nothing to act on.

    With ``ended`` the first detection time itself is due: no more evidence will come.
    """
    beats = tuple(pulses)
    test = _answered_by_end if ended else _answered_live
    answered = [any(test(a, beat, progress_lag) for beat in beats) for a in anomalies]
    standing = tuple(a for a, veto in zip(anomalies, answered, strict=True) if not veto)
    vetoed = tuple(a for a, veto in zip(anomalies, answered, strict=True) if veto)
    fatal = [a.detected_at for a in standing if is_fatal(a)]
    due = min(fatal) + timedelta(seconds=0 if ended else settle) if fatal else None
    return Ripeness(standing, vetoed, due)


def is_fatal(anomaly: Anomaly) -> bool:
    """Could this line alone mean that the attempt is broken?"""
    finding = anomaly.finding
    return finding.role in (Role.ROOT, Role.CASCADE) and finding.recovery is not Recovery.NONE


def _answered_live(anomaly: Anomaly, pulse: Pulse, lag: float) -> bool:
    if pulse.source == anomaly.source:
        return pulse.offset > anomaly.finding.offset
    return pulse.at > anomaly.detected_at + timedelta(seconds=lag)


def _answered_by_end(anomaly: Anomaly, pulse: Pulse, lag: float) -> bool:
    much_later = pulse.at > anomaly.detected_at + timedelta(seconds=max(ENDED_LAG, lag))
    if pulse.source != anomaly.source:
        return much_later
    further = pulse.offset - anomaly.finding.offset
    return further > ENDED_BYTES or (further > 0 and much_later)
