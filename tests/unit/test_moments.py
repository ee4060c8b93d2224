"""Moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ajrd.cli.moments import moment

NOW = datetime(2026, 3, 1, 15, 30, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("2026-02-03", datetime(2026, 2, 3, tzinfo=UTC)),
        ("2026-02-03T04:05", datetime(2026, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-02-03T04:05:06+02:00", datetime(2026, 2, 3, 2, 5, 6, tzinfo=UTC)),
        ("today", datetime(2026, 3, 1, tzinfo=UTC)),
        ("Yesterday", datetime(2026, 2, 28, tzinfo=UTC)),
        ("now", NOW),
        ("now-2days", NOW - timedelta(days=2)),
        ("now-90minutes", NOW - timedelta(minutes=90)),
        ("now-1week", NOW - timedelta(weeks=1)),
        ("36h", NOW - timedelta(hours=36)),
        ("4w", NOW - timedelta(weeks=4)),
        ("now-30", NOW - timedelta(seconds=30)),
    ],
)
def test_a_moment_is_understood(text: str, when: datetime) -> None:
    assert moment(text, NOW) == when


@given(st.text())
def test_what_is_none_is_refused_and_nothing_else_happens(text: str) -> None:
    try:
        assert moment(text, NOW).tzinfo is not None
    except ValueError:
        return
