"""What failures cost and what recovery saved, week by week."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from aiohttp import web

from ajrd.store import overview
from ajrd.store.rows import Row
from ajrd.web.pages.shell import Shell, owner
from ajrd.web.pages.weeks import spark, week_starts

#: What the time since the first starts went into beside work that was kept, as it is drawn. They
#: and that work add up to all of it: a restart is its successor's start-up (docs/efficiency.md).
LOSSES = {
    "starting": "start-up",
    "lost": "lost work",
    "automatic": "down until the next start",
    "manual": "down, waiting for people",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """The attempts of one week, or of several: seconds, and GPU-hours.

    Seconds, but for ``saved_seconds``, are of attempts whose logs told of progress.
    """

    attempts: float = 0
    recoveries: float = 0
    starting_seconds: float = 0
    productive_seconds: float = 0
    lost_seconds: float = 0
    restart_seconds: float = 0
    automatic_downtime_seconds: float = 0
    manual_downtime_seconds: float = 0
    saved_seconds: float = 0
    allocated_gpu_hours: float = 0
    goodput_gpu_hours: float = 0

    @property
    def losses(self) -> dict[str, float]:
        """Seconds without work that was kept, by what they went into."""
        return {
            "starting": self.starting_seconds,
            "lost": self.lost_seconds,
            "automatic": max(self.automatic_downtime_seconds - self.restart_seconds, 0.0),
            "manual": self.manual_downtime_seconds,
        }

    @property
    def down(self) -> float:
        """Seconds from failures until the work went on."""
        return self.automatic_downtime_seconds + self.manual_downtime_seconds

    @property
    def ettr(self) -> float | None:
        """Kept work in the time since the first starts; None if no log told of progress."""
        kept = self.productive_seconds - self.lost_seconds
        whole = kept + sum(self.losses.values())
        return kept / whole if whole > 0 else None

    @property
    def goodput(self) -> float | None:
        """The share of GPU-hours whose work was kept."""
        whole = self.allocated_gpu_hours
        return self.goodput_gpu_hours / whole if whole else None


@dataclass(frozen=True, slots=True)
class Week:
    """One week; ``bars`` are (loss, x, width) in percent of the worst week."""

    start: datetime
    sums: Sums
    bars: Sequence[tuple[str, float, float]]


async def page(shell: Shell, request: web.Request) -> web.Response:
    """``GET /efficiency``."""
    starts = week_starts(shell.now())
    found = await shell.site.database.all(overview.efficiency_by_week(starts, owner(request)))
    sums = by_week(found, len(starts))
    lived = sums[next((n for n, each in enumerate(sums) if each.attempts), 0) :]
    return shell.answer(
        request,
        "efficiency.html",
        weeks=weeks(starts, sums),
        total=together(sums),
        losses=LOSSES,
        baseline=shell.site.efficiency.manual_baseline,
        ettr_line=spark([each.ettr or 0 for each in lived]),
        saved_line=spark([each.saved_seconds for each in lived]),
        goodput_line=spark([each.goodput or 0 for each in lived]),
        recoveries_line=spark([each.recoveries for each in lived]),
    )


def by_week(found: Iterable[Row], count: int) -> list[Sums]:
    """The sums of each week; a week without attempts has none."""
    known = {int(row["week"]): _sums(row) for row in found}
    return [known.get(number, Sums()) for number in range(count)]


def _sums(row: Row) -> Sums:
    return Sums(**{each.name: float(row[each.name] or 0) for each in fields(Sums)})


def together(sums: Iterable[Sums]) -> Sums:
    """All weeks as one."""
    every = list(sums)
    names = [each.name for each in fields(Sums)]
    return Sums(**{name: sum(getattr(each, name) for each in every) for name in names})


def weeks(starts: Sequence[datetime], sums: Sequence[Sums]) -> list[Week]:
    """The pictures of the weeks, all to one scale."""
    worst = max((sum(each.losses.values()) for each in sums), default=0) or 1
    return [Week(start, its, _bars(its, worst)) for start, its in zip(starts, sums, strict=True)]


def _bars(sums: Sums, worst: float) -> list[tuple[str, float, float]]:
    bars, x = [], 0.0
    for name, seconds in sums.losses.items():
        width = 100 * seconds / worst
        if width > 0:
            bars.append((name, x, width))
        x += width
    return bars
