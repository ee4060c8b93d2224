"""From the milestones of an attempt to its parts: ``docs/efficiency.md`` has formulas and examples.

The time from the start of an attempt to the first progress of the one after it is cut at moments
that are put in order first (each at the earliest where the one before it is), so that no part is
negative and the parts make up the whole whatever the clocks said:

    started ─starting─ first progress ─productive─ failed ─detection─ decided ─kill─ over
      ─requeue wait─ successor started ─restart─ its first progress

What cannot be known is None, never 0. Terms follow the field's: *effective training time ratio* of
"Revisiting Reliability in Large-Scale Machine Learning Research Clusters" (Kokolis et al., HPCA
2025, arXiv:2410.21680), *runtime goodput* of Google's ML Productivity Goodput (Wongpanich et al.,
arXiv:2502.06982), *effective training time rate* of MegaScale (Jiang et al., NSDI 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ajrd.kpi.milestones import SETTLES, Milestones, Steps, Successor

_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """The parts of one attempt, seconds; GPU-hours where a name says so. None: not known.

    ``lost`` is a part of ``productive``; both downtimes together last from the failure to the
    successor's first progress. ``complete``: nothing that is still to come can change it, but for
    late accounting.
    """

    queued: float
    starting: float | None
    productive: float | None
    lost: float | None
    detection: float | None
    kill: float | None
    requeue_wait: float | None
    restart: float | None
    automatic_downtime: float
    manual_downtime: float
    manual_baseline: float
    saved: float | None
    allocated_gpu_hours: float
    goodput_gpu_hours: float
    recovered: bool
    complete: bool
    gpus: int

    @property
    def wall(self) -> float:
        """From the start to the successor's start, or to the attempt's own end, seconds.

        The restart belongs to the successor, whose own start-up time it is.
        """
        running = (self.starting or 0.0) + (self.productive or 0.0)
        down = self.automatic_downtime + self.manual_downtime - (self.restart or 0.0)
        return running + down

    @property
    def effective(self) -> float | None:
        """The productive time whose work was kept, seconds; None where no progress was told."""
        return None if self.productive is None else self.productive - (self.lost or 0.0)


def efficiency(m: Milestones, now: datetime, manual_baseline: float) -> Efficiency:
    """Reckons one attempt; ``manual_baseline`` (s) is the site's time until somebody resubmits."""
    failed, ended = _life(m)
    steps = _within(m.steps, m.started, failed)
    productive = _productive(m, steps, failed)
    lost = None if productive is None else _lost(m, steps, failed)
    cuts = _Downtime.of(m, failed, ended)
    complete = not m.awaits and (m.well or m.successor is None or _has_begun(m.successor))
    good = 0.0 if productive is None or lost is None else productive - lost
    return Efficiency(
        queued=_seconds(m.eligible or m.submitted, m.started),
        starting=_starting(m, steps, failed),
        productive=productive,
        lost=lost,
        detection=cuts.detection,
        kill=cuts.kill,
        requeue_wait=cuts.requeue_wait,
        restart=cuts.restart,
        automatic_downtime=cuts.whole - cuts.manual,
        manual_downtime=cuts.manual,
        manual_baseline=manual_baseline,
        saved=_saved(m, cuts.whole - cuts.manual, manual_baseline, complete=complete),
        allocated_gpu_hours=m.gpus * _seconds(m.started, ended) / _HOUR,
        goodput_gpu_hours=m.gpus * good / _HOUR,
        recovered=m.recovered,
        complete=complete and m.ended + SETTLES <= now,
        gpus=m.gpus,
    )


def _life(m: Milestones) -> tuple[datetime, datetime]:
    """When the attempt stopped being of use, and when it was over."""
    ended = max(m.started, m.ended)
    if m.well or m.failed is None:
        return ended, ended
    return min(max(m.started, m.failed), ended), ended


def _within(steps: Steps | None, start: datetime, end: datetime) -> Steps | None:
    """Progress within the life of the attempt.

    What was first read after the end says nothing of when it was made: nobody was watching.
    """
    if steps is None or steps.first_at > end:
        return None
    first = max(start, steps.first_at)
    last = min(max(first, steps.last_at), end)
    return Steps(
        first_at=first, last_at=last, first_step=steps.first_step, last_step=steps.last_step
    )


def _starting(m: Milestones, steps: Steps | None, end: datetime) -> float | None:
    if steps is not None:
        return _seconds(m.started, steps.first_at)
    return _seconds(m.started, end) if _never_began(m) else None


def _productive(m: Milestones, steps: Steps | None, end: datetime) -> float | None:
    if steps is not None:
        return _seconds(steps.first_at, end)
    return 0.0 if _never_began(m) else None


def _never_began(m: Milestones) -> bool:
    """Its logs would have told of progress, and did not: it died while it was starting."""
    return m.steps is None and m.tells_progress and not m.well


def _lost(m: Milestones, steps: Steps | None, end: datetime) -> float:
    """What has to be done again, and the time in which nothing was confirmed any more."""
    if m.well or steps is None:
        return 0.0
    return _seconds(steps.last_at, end) + _repeated(steps, m.successor)


def _repeated(steps: Steps, successor: Successor | None) -> float:
    """How long this attempt had worked beyond the step with which its successor began.

    A checkpoint is not seen but inferred from that step; in between, steps are taken to have come
    at a constant rate.
    """
    again = successor.first_step if successor else None
    if again is None or steps.first_step is None or steps.last_step is None:
        return 0.0
    worked = _seconds(steps.first_at, steps.last_at)
    if again <= steps.first_step:
        return worked
    if again >= steps.last_step:
        return 0.0
    return worked * (steps.last_step - again) / (steps.last_step - steps.first_step)


@dataclass(frozen=True, slots=True)
class _Downtime:
    """From the failure to the successor's first progress; ``whole`` as far as it is known."""

    detection: float | None
    kill: float | None
    requeue_wait: float | None
    restart: float | None
    whole: float
    manual: float

    @classmethod
    def of(cls, m: Milestones, failed: datetime, ended: datetime) -> _Downtime:
        if m.well:
            return cls(None, None, None, None, 0.0, 0.0)
        decided = None if m.decided is None else max(failed, m.decided)
        over = max(decided or failed, ended)
        detection = None if decided is None else _seconds(failed, decided)
        kill = None if decided is None else _seconds(decided, over)
        if m.successor is None:
            return cls(detection, kill, None, None, _seconds(failed, ended), 0.0)
        start = max(over, m.successor.started)
        first = m.successor.first_progress
        begun = start if first is None else max(start, first)
        restart = None if first is None else _seconds(start, begun)
        whole = _seconds(failed, begun)
        manual = _waited_for_people(m, m.successor, over, start)
        return cls(detection, kill, _seconds(over, start), restart, whole, manual)


def _waited_for_people(m: Milestones, then: Successor, over: datetime, start: datetime) -> float:
    """Until somebody had submitted, requeued or released it; then it waits for resources."""
    if m.recovered or not m.by_people:
        return 0.0
    since = min(max(over, m.handed_over or over), start)
    return _seconds(since, min(then.eligible or start, start))


def _saved(m: Milestones, automatic: float, baseline: float, *, complete: bool) -> float | None:
    if not m.recovered:
        return 0.0
    return max(baseline - automatic, 0.0) if complete else None


def _has_begun(successor: Successor) -> bool:
    return successor.over or successor.first_progress is not None


def _seconds(start: datetime, end: datetime) -> float:
    return max((end - start).total_seconds(), 0.0)
