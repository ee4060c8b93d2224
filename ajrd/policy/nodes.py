"""Which nodes a successor is kept away from: its own evidence, and what is known of nodes.

A hardware service examines suspected nodes. What it says of one holds for a time: a node that it
calls faulty is avoided by every requeue, one that it calls healthy is not avoided, whatever the
evidence says; after that time evidence counts again as it did before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

#: Faulty nodes that a requeue avoids besides those of its own evidence, the newest first.
MOST = 50


class Health(StrEnum):
    """A verdict on a node."""

    HEALTHY = "healthy"
    FAULTY = "faulty"
    PENDING = "pending"


@dataclass(frozen=True, slots=True)
class Opinion:
    """What was said of a node, and when."""

    node: str
    health: Health
    at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """What holds of nodes at one moment; ``faulty`` is in the order of its importance."""

    faulty: tuple[str, ...] = ()
    healthy: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Validity:
    """How long each verdict holds, seconds."""

    faulty: float
    healthy: float

    def of(self, health: Health) -> timedelta:
        """How long this one holds."""
        seconds = {Health.FAULTY: self.faulty, Health.HEALTHY: self.healthy}.get(health, 0.0)
        return timedelta(seconds=seconds)


def known_of(opinions: Iterable[Opinion], now: datetime, validity: Validity) -> Known:
    """What still holds. Of one node its newest verdict counts; one that is pending is none."""
    newest: dict[str, Opinion] = {}
    for one in sorted(opinions, key=lambda one: one.at):
        if one.health is not Health.PENDING:
            newest[one.node] = one
    holding = [one for one in newest.values() if now - one.at < validity.of(one.health)]
    holding.sort(key=lambda one: one.at, reverse=True)
    return Known(
        tuple(one.node for one in holding if one.health is Health.FAULTY),
        frozenset(one.node for one in holding if one.health is Health.HEALTHY),
    )


def excluded(blamed: Collection[str], known: Known) -> tuple[str, ...]:
    """The nodes to avoid: those that evidence blames and nobody clears, then the faulty ones."""
    own = [node for node in blamed if node not in known.healthy]
    others = [node for node in known.faulty if node not in own]
    return (*own, *others[:MOST])
