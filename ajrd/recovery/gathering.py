"""Out of the store's rows: the milestones of ended attempts, and their records.

Asks the store a few times for many attempts at once. Who goes on with the work of an attempt is
read off here: the next attempt of its job, the next job of its chain, or, for one that nobody
brought back, the next job of the same user and name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ajrd.kpi.efficiency import efficiency
from ajrd.kpi.milestones import RESUBMITTED_WITHIN, Milestones, Steps, Successor
from ajrd.model import DecisionState, JobState, Verb
from ajrd.policy.asked import BRANCH
from ajrd.recovery.sequence import Outcome
from ajrd.recovery.tracking import REQUEUED
from ajrd.store import efficiency as table
from ajrd.store.efficiency import EfficiencyRecord
from ajrd.store.rows import Row, moment
from ajrd.store.store import Store

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
_BROUGHT_BACK = frozenset({Outcome.SUCCESSOR_STARTED, Outcome.CHAIN_CONTINUES})
_BY_PEOPLE = frozenset({Outcome.HELD_BY_OTHERS, Outcome.CANCELLED_BY_OTHERS})
#: Ends after which somebody may want to go on. A job that was cancelled is not wanted any more.
_GIVES_UP = frozenset({JobState.CANCELLED, JobState.COMPLETED})


@dataclass(slots=True)
class _Facts:
    """What the store knows of some attempts and those around them.

    ``progress`` has those of which the first progress is known, ``last`` all that told of any.
    """

    siblings: dict[int, list[Row]] = field(default_factory=dict)
    following: dict[int, Row] = field(default_factory=dict)
    progress: dict[int, Steps] = field(default_factory=dict)
    last: dict[int, datetime] = field(default_factory=dict)
    failures: dict[int, datetime] = field(default_factory=dict)


async def reckon(
    store: Store, attempts: Sequence[int], now: datetime, manual_baseline: float
) -> list[EfficiencyRecord]:
    """The records of those of the attempts that have ended; raises StoreUnavailable."""
    ended = await store.look_up(table.ended_attempts(attempts)) if attempts else ()
    if not ended:
        return []
    facts = await _facts(store, ended)
    return [_record(row, facts, now, manual_baseline) for row in ended]


async def _facts(store: Store, ended: Sequence[Row]) -> _Facts:
    facts = _Facts()
    for row in await store.look_up(table.attempts_of_jobs({row["job"] for row in ended})):
        facts.siblings.setdefault(row["job"], []).append(row)
    for row in ended:
        following = await _following(store, row, facts)
        if following is not None:
            facts.following[row["attempt"]] = following
    around = [*(row for each in facts.siblings.values() for row in each), *facts.following.values()]
    for row in await store.look_up(table.progress_of({row["id"] for row in around})):
        facts.last[row["attempt"]] = _known(row["last_at"])
        if not row["untimed"]:
            facts.progress[row["attempt"]] = table.steps(row)
    since = {row["attempt"]: facts.last.get(row["attempt"]) for row in ended}
    for row in await store.look_up(table.failures_since(since)):
        facts.failures[row["attempt"]] = _known(row["failed_at"])
    return facts


async def _following(store: Store, row: Row, facts: _Facts) -> Row | None:
    """The attempt that goes on with the work, if it has started."""
    later = [other for other in facts.siblings[row["job"]] if other["idx"] > row["idx"]]
    if later or (row["state"] in _GIVES_UP and row["verb"] != Verb.CHAIN):
        return later[0] if later else None
    submitted, until = _EPOCH, _FOREVER
    if row["verb"] != Verb.CHAIN:
        submitted = _known(row["ended_at"])
        until = submitted + RESUBMITTED_WITHIN
    found = await store.look_up(table.next_of_workflow(row, submitted, until))
    return found[0] if found else None


def _record(row: Row, facts: _Facts, now: datetime, baseline: float) -> EfficiencyRecord:
    m = _milestones(row, facts, now)
    return EfficiencyRecord(
        attempt=row["attempt"],
        cluster=row["cluster"],
        job_id=row["job_id"],
        job_name=row["job_name"],
        user=row["job_user"],
        partition=row["job_partition"],
        attempt_idx=row["idx"],
        state=row["state"],
        kind=row["kind"] or "",
        cause=row["cause"] or "",
        outcome=row["outcome"] or "",
        node_count=row["node_count"],
        submitted_at=m.submitted,
        eligible_at=m.eligible,
        started_at=m.started,
        failed_at=m.failed,
        ended_at=m.ended,
        parts=efficiency(m, now, baseline),
    )


def _milestones(row: Row, facts: _Facts, now: datetime) -> Milestones:
    ended, well = _known(row["ended_at"]), row["state"] == JobState.COMPLETED
    recovered = row["outcome"] in _BROUGHT_BACK and row["branch"] != BRANCH
    siblings, following = facts.siblings[row["job"]], facts.following.get(row["attempt"])
    abandoned = row["decision_state"] == DecisionState.ABANDONED
    return Milestones(
        submitted=_submitted(row, siblings),
        started=_known(row["started_at"]),
        ended=ended,
        eligible=moment(row["eligible_at"]),
        steps=facts.progress.get(row["attempt"]),
        failed=None if well else _failed(row, facts),
        decided=moment(row["decided_at"]) if row["verb"] in _ACTING else None,
        handed_over=moment(row["closed_at"]) if abandoned else None,
        successor=_successor(following, facts) if following is not None else None,
        well=well,
        recovered=recovered,
        by_people=_by_people(row, following),
        tells_progress=_tells_progress(row, siblings, facts),
        awaits=_awaits(row, following, now),
        gpus=row["gpus"],
    )


#: Decisions that do something to an attempt.
_ACTING = frozenset({Verb.REQUEUE, Verb.STOP, Verb.CHAIN})


def _submitted(row: Row, siblings: Iterable[Row]) -> datetime:
    """A later attempt is queued by the end of the one before."""
    before = [other for other in siblings if other["idx"] < row["idx"]]
    if before and before[-1]["ended_at"] is not None:
        return _known(before[-1]["ended_at"])
    return min(_known(row["submit_time"]), _known(row["started_at"]))


def _failed(row: Row, facts: _Facts) -> datetime | None:
    """The first line that counts, or the one that was decided on; the end, if it says it all."""
    seen = facts.failures.get(row["attempt"]) or moment(row["detected_at"])
    if row["state"] in _GIVES_UP and row["verb"] not in _ACTING:
        return None
    return None if seen is None else min(seen, _known(row["ended_at"]))


def _successor(row: Row, facts: _Facts) -> Successor:
    steps = facts.progress.get(row["id"])
    ended = moment(row["ended_at"])
    seen = steps is not None and (ended is None or steps.first_at <= ended)
    return Successor(
        started=_known(row["started_at"]),
        eligible=moment(row["eligible_at"]),
        first_progress=steps.first_at if steps and seen else None,
        first_step=steps.first_step if steps else None,
        over=ended is not None,
    )


def _by_people(row: Row, following: Row | None) -> bool:
    """Did the work wait for a person: a hold, a requeue of what had ended, a new submission?"""
    if following is None:
        return False
    if following["job"] != row["job"]:
        return bool(row["verb"] != Verb.CHAIN)
    return row["outcome"] in _BY_PEOPLE or row["state"] != REQUEUED


def _tells_progress(row: Row, siblings: Iterable[Row], facts: _Facts) -> bool:
    """Would the logs of this attempt have told when its first progress was?"""
    if row["attempt"] in facts.last and row["attempt"] not in facts.progress:
        return False
    return any(other["id"] in facts.progress for other in siblings)


def _awaits(row: Row, following: Row | None, now: datetime) -> bool:
    """May there be a successor that has not started yet, or is a decision still open?"""
    if row["decision_state"] == DecisionState.OPEN:
        return True
    over = row["state"] in _GIVES_UP and row["outcome"] != Outcome.CHAIN_CONTINUES
    if following is not None or over:
        return False
    return now < _known(row["ended_at"]) + RESUBMITTED_WITHIN


def _known(value: object) -> datetime:
    when = moment(value)
    assert when is not None
    return when
