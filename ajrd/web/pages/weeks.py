"""Days and weeks of the site's own zone, and small pictures of numbers over them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

#: Weeks that reports look back, this one included.
WEEKS = 8


def week_starts(now: datetime, count: int = WEEKS) -> list[datetime]:
    """The Mondays on which the last weeks began, the oldest first."""
    today = now.astimezone().date()
    monday = today - timedelta(days=today.weekday())
    return [_midnight(monday - timedelta(weeks=back)) for back in reversed(range(count))]


def day_starts(now: datetime, count: int) -> list[datetime]:
    """The midnights of the last days, the oldest first."""
    today = now.astimezone().date()
    return [_midnight(today - timedelta(days=back)) for back in reversed(range(count))]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time()).astimezone()


def spark(numbers: Sequence[float], width: float = 100.0, height: float = 24.0) -> str:
    """The points of a line through the numbers, for an SVG polyline; the largest is on top."""
    top = max(numbers, default=0) or 1
    step = width / max(len(numbers) - 1, 1)
    spots = (
        f"{step * place:.1f},{height - 2 - (height - 4) * number / top:.1f}"
        for place, number in enumerate(numbers)
    )
    return " ".join(spots)


def level(number: int) -> int:
    """How strongly a number is shown, from 0 to 4."""
    return next((step for step, most in enumerate((0, 1, 3, 7)) if number <= most), 4)
