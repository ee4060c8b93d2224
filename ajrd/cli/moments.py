"""Moments as people write them, in the manner of sacct: ``2026-01-31T12:00``, ``now-2days``."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
_BACK = re.compile(r"now(?:-(\d{1,6})(seconds?|minutes?|hours?|days?|weeks?)?)?")
_SHORT = re.compile(r"(\d{1,6})([hdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_FORMS = "YYYY-MM-DD[THH:MM[:SS]][±ZONE], today, yesterday, now-COUNT[hours|days|…], 36h, 30d, 4w"


def moment(text: str, now: datetime) -> datetime:
    """The moment that a text names, in the zone of ``now`` unless it says another; ValueError."""
    lowered = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if lowered in ("today", "midnight"):
        return midnight
    if lowered == "yesterday":
        return midnight - timedelta(days=1)
    if back := _BACK.fullmatch(lowered) or _SHORT.fullmatch(lowered):
        unit = (back[2] or "s")[0]
        return now - timedelta(seconds=int(back[1] or 0) * _SECONDS[unit])
    when = datetime.fromisoformat(text.strip())
    return when if when.tzinfo else when.replace(tzinfo=now.tzinfo)


def option(name: str, default: str | None, text: str) -> Callable[[F], F]:
    """An option that takes a moment; the command gets an aware datetime, or None."""

    def parse(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
        if value is None:
            return None
        try:
            return moment(value, datetime.now().astimezone())
        except (ValueError, OverflowError):
            raise click.BadParameter(f"{value!r} is no time: {_FORMS}") from None

    return click.option(
        f"--{name}", callback=parse, default=default, show_default=True, metavar="TIME", help=text
    )
