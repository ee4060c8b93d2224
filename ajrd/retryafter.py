"""How long another service asks to be left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

#: The longest pause that anybody may ask for, seconds.
LONGEST = 300.0


def pause_of(retry_after: str) -> float:
    """The seconds of a ``Retry-After`` header: a number or a date (RFC 9110, 10.2.3)."""
    if retry_after.isdigit():
        return min(float(retry_after), LONGEST)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    seconds = (until.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    return min(max(seconds, 0.0), LONGEST)
