"""Many attempts as one: what a job, a user, a cause or a week comes to.

Ratios are those of sums, never means of ratios: an hour counts the same in whatever attempt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ajrd.kpi.efficiency import Efficiency


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Sums over attempts, seconds and GPU-hours.

    ``measured`` attempts told of their progress; ``wall``, ``effective`` and ``lost`` are theirs.
    """

    attempts: int = 0
    measured: int = 0
    recovered: int = 0
    wall: float = 0.0
    effective: float = 0.0
    lost: float = 0.0
    automatic_downtime: float = 0.0
    manual_downtime: float = 0.0
    saved: float = 0.0
    saved_gpu_hours: float = 0.0
    allocated_gpu_hours: float = 0.0
    goodput_gpu_hours: float = 0.0

    @property
    def ettr(self) -> float | None:
        """Effective training time ratio, 0 to 1; None if no attempt told of its progress."""
        return self.effective / self.wall if self.wall > 0 else None


def summarize(attempts: Iterable[Efficiency]) -> Summary:
    """What all of them come to."""
    every = list(attempts)
    measured = [each for each in every if each.effective is not None]
    return Summary(
        attempts=len(every),
        measured=len(measured),
        recovered=sum(each.recovered for each in every),
        wall=sum(each.wall for each in measured),
        effective=_sum(each.effective for each in measured),
        lost=_sum(each.lost for each in measured),
        automatic_downtime=sum(each.automatic_downtime for each in every),
        manual_downtime=sum(each.manual_downtime for each in every),
        saved=_sum(each.saved for each in every),
        saved_gpu_hours=sum((each.saved or 0.0) * each.gpus / 3600 for each in every),
        allocated_gpu_hours=sum(each.allocated_gpu_hours for each in every),
        goodput_gpu_hours=sum(each.goodput_gpu_hours for each in every),
    )


def _sum(values: Iterable[float | None]) -> float:
    return sum(value for value in values if value is not None)
