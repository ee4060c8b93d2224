"""How long a successor is put off when attempts fail at once. Pure.

A job that dies within seconds of each start wastes the queue's time and floods logs; often a file
server or licence needs a moment. The first quick failure is answered at once.
"""

from __future__ import annotations

from collections.abc import Sequence

#: An attempt that ran for less has failed at once, seconds.
QUICK = 60.0
LONGEST = 600.0


def delay(runtimes: Sequence[float], first: float) -> float:
    """Seconds to put off the next attempt; ``runtimes`` (s) of all so far, the newest last.

    After two quick failures in a row ``first`` seconds, twice as long after each further one.
    """
    row = 0
    for seconds in reversed(runtimes):
        if seconds >= QUICK:
            break
        row += 1
    return 0.0 if row < 2 else min(first * 2.0 ** min(row - 2, 16), LONGEST)
