"""A clock that nobody can set."""

from __future__ import annotations

from datetime import timedelta

from ajrd.clock import SteadyClock
from tests.unit.samples import at


def test_setting_the_hosts_clock_does_not_move_it() -> None:
    wall, ticks = [at(0)], [100.0]
    clock = SteadyClock(lambda: wall[0], lambda: ticks[0])
    wall[0] += timedelta(hours=1)
    ticks[0] += 5
    assert clock() == at(5)
    wall[0] -= timedelta(hours=2)
    ticks[0] += 5
    assert clock() == at(10)
