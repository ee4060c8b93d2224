"""Does another attempt get any further? The same cause, again and again, is not bad luck. Pure.

A job that prints steps has got further when it reached a step that no earlier attempt had reached.
Of a job whose progress nobody can read, an attempt that ran for ``LONG`` seconds counts as one that
got further. An attempt whose successor was kept away from suspected nodes ends the row: the next
failure met other nodes, so it is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LONG = 600.0


@dataclass(frozen=True, slots=True)
class Past:
    """One attempt in retrospect.

    ``cause`` is "" if nothing was decided on it, ``step`` the furthest that it printed (None:
    none), ``progressed`` that it printed any progress, ``seconds`` how long it ran, ``excluded``
    that its successor was kept away from nodes.
    """

    cause: str
    step: int | None
    progressed: bool
    seconds: float
    excluded: bool = False


def fruitless(cause: str, attempts: Sequence[Past]) -> int:
    """How many attempts in a row have failed by ``cause`` and got no further.

    ``attempts`` are in their order; the last one is that which has just failed by ``cause``.
    """
    further = _got_further(attempts)
    row = 0
    for number in range(len(attempts) - 1, -1, -1):
        attempt, last = attempts[number], number == len(attempts) - 1
        if further[number] or not (last or (attempt.cause == cause and not attempt.excluded)):
            break
        row += 1
    return row


def failed_in_a_row(attempts: Sequence[Past]) -> list[float]:
    """How long (s) the newest attempts ran that failed; others requeue jobs that have not."""
    row: list[float] = []
    for attempt in reversed(attempts):
        if row and not attempt.cause:
            break
        row.insert(0, attempt.seconds)
    return row


def _got_further(attempts: Sequence[Past]) -> list[bool]:
    readable = any(attempt.progressed for attempt in attempts)
    best = -1
    found = []
    for attempt in attempts:
        if attempt.step is not None:
            found.append(attempt.step > best)
            best = max(best, attempt.step)
        else:
            found.append(attempt.progressed if readable else attempt.seconds >= LONG)
    return found
