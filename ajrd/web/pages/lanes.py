"""From rows of the store to the lanes of a timeline. Pure.

Places are percents of the shown span, so the picture fits any width; only what must not come too
close to each other, the triangles, is bundled for a width in pixels that the asker may name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ajrd.model import JobState, ResumeMode, Role, Step, Verb
from ajrd.policy import bounded_json
from ajrd.policy.directive import Limits, NotManaged, parse_directive
from ajrd.store.records import AnomalyRecord, AttemptRecord, DecisionRecord, JobRecord
from ajrd.web.pages.span import Span

#: Pixels between the middles of two triangles: each can be hit by a finger (WCAG 2.5.8).
APART = 25
#: Pixels that a bar must have to carry the sign of its outcome.
ROOM_FOR_SIGN = 16
#: States of a job that has ended.
_ENDED = frozenset(state.value for state in JobState if state.ended)
#: Bars are never narrower, in percent.
_NARROWEST = 0.25


class Outcome(StrEnum):
    """How an attempt stands; the words of :data:`ajrd.store.overview.OUTCOME`."""

    RUNNING = "running"
    COMPLETED = "completed"
    RECOVERED = "recovered"
    STOPPED = "stopped"
    FAILED = "failed"
    REQUEUED = "requeued"
    CANCELLED = "cancelled"


#: Each outcome for people.
SAID = {
    Outcome.RUNNING: "running",
    Outcome.COMPLETED: "completed",
    Outcome.RECOVERED: "recovered by ajrd",
    Outcome.STOPPED: "stopped by ajrd",
    Outcome.FAILED: "failed",
    Outcome.REQUEUED: "requeued by others",
    Outcome.CANCELLED: "cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One attempt with what is known of it."""

    attempt: AttemptRecord
    outcome: Outcome
    decision: DecisionRecord | None = None
    anomalies: Sequence[AnomalyRecord] = ()
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """An attempt: from ``x`` over ``width`` percent; ``sign`` says whether its sign has room."""

    x: float
    width: float
    outcome: Outcome
    idx: int
    sign: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """No attempt is running: ``kind`` is ``queue`` or ``hold``."""

    x: float
    width: float
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A triangle for one anomaly or several at one place, the roots first; ``more`` are not told.

    ``told`` is the attempt of the first.
    """

    x: float
    told: Told
    anomalies: tuple[AnomalyRecord, ...]
    more: int = 0

    @property
    def first(self) -> AnomalyRecord:
        """What the triangle is named after."""
        return self.anomalies[0]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.anomalies) + self.more

    @property
    def root(self) -> bool:
        """Is a first cause among them?"""
        return self.first.anomaly.finding.role is Role.ROOT


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A job: its attempts in their order, and their picture."""

    job: JobRecord
    told: Sequence[Told]
    bars: Sequence[Bar]
    gaps: Sequence[Gap]
    marks: Sequence[Mark]
    budget: tuple[int, int] | None = None

    @property
    def standing(self) -> str:
        """How the job stands, in a word: an outcome, or ``waiting``."""
        over = is_over(self.job)
        if self.told and (over or self.told[-1].outcome is Outcome.RUNNING):
            return str(self.told[-1].outcome)
        return "ended" if over else "waiting"


@dataclass(frozen=True, slots=True)
class Group:
    """Lanes that belong together; ``chain`` names the workflow where they do, else ""."""

    lanes: list[Lane] = field(default_factory=list)
    chain: str = ""
    user: str = ""


def lane(
    job: JobRecord,
    told: Sequence[Told],
    span: Span,
    now: datetime,
    width: int,
    limits: Limits = Limits(),  # noqa: B008 -- frozen
) -> Lane:
    """The picture of a job; ``limits`` are the site's for requeues."""
    shown = [each for each in told if _overlaps(each.attempt, span)]
    return Lane(
        job=job,
        told=told,
        bars=[_bar(each, span, now, width) for each in shown],
        gaps=list(_gaps(job, told, span, now)),
        marks=list(_marks(shown, span, width)),
        budget=_budget(job, told, limits),
    )


def _overlaps(attempt: AttemptRecord, span: Span) -> bool:
    ended = attempt.ended_at
    return attempt.started_at < span.end and (ended is None or ended >= span.start)


def _clipped(since: datetime, until: datetime, span: Span) -> tuple[float, float]:
    left, right = max(span.x(since), 0.0), min(span.x(until), 100.0)
    return left, max(right - left, 0.0)


def _bar(told: Told, span: Span, now: datetime, width: int) -> Bar:
    attempt = told.attempt
    x, wide = _clipped(attempt.started_at, attempt.ended_at or now, span)
    wide = max(wide, _NARROWEST)
    room = wide * width / 100 >= ROOM_FOR_SIGN
    return Bar(x=min(x, 100 - wide), width=wide, outcome=told.outcome, idx=attempt.idx, sign=room)


def _gaps(job: JobRecord, told: Sequence[Told], span: Span, now: datetime) -> Iterator[Gap]:
    since = job.first_submit_time if not job.restarts_before else None
    for before, after in zip([None, *told], [*told, None], strict=True):
        if before is not None:
            since = before.attempt.ended_at
        until = after.attempt.started_at if after else _waits_until(job, now)
        if since is None or until is None or until <= since:
            continue
        held = _hold(before.decision, until) if before and before.decision else None
        parts = [(since, until, "queue")] if held is None else _split(since, until, held)
        for start, end, kind in parts:
            x, wide = _clipped(start, end, span)
            if wide > 0:
                yield Gap(x, wide, kind)


def _waits_until(job: JobRecord, now: datetime) -> datetime | None:
    return None if is_over(job) else now


def is_over(job: JobRecord) -> bool:
    """Does it wait and run no more? Slurm shows a job that has ended for some minutes."""
    return job.closed or job.state in _ENDED


def _hold(decision: DecisionRecord, until: datetime) -> tuple[datetime, datetime] | None:
    """From when to when ajrd held the job, by its own actions."""
    when = {action.step: action.finished_at for action in decision.actions}
    begun, ended = when.get(Step.REQUEUE_HOLD), when.get(Step.RELEASE)
    return None if begun is None else (begun, min(ended or until, until))


def _split(
    since: datetime, until: datetime, held: tuple[datetime, datetime]
) -> list[tuple[datetime, datetime, str]]:
    begun, ended = max(held[0], since), max(held[1], since)
    return [(since, begun, "queue"), (begun, ended, "hold"), (ended, until, "queue")]


def _marks(told: Iterable[Told], span: Span, width: int) -> Iterator[Mark]:
    apart = 100 * APART / width
    spots = [
        (span.x(record.anomaly.detected_at), record, each)
        for each in told
        for record in each.anomalies
        if span.start <= record.anomaly.detected_at <= span.end
    ]
    bundle: list[tuple[float, AnomalyRecord, Told]] = []
    for spot in sorted(spots, key=lambda spot: spot[0]):
        if bundle and spot[0] - bundle[0][0] > apart:
            yield _mark(bundle)
            bundle = []
        bundle.append(spot)
    if bundle:
        yield _mark(bundle)


def _mark(bundle: Sequence[tuple[float, AnomalyRecord, Told]]) -> Mark:
    order = sorted(bundle, key=lambda spot: (_weight(spot[1]), spot[1].id))
    x, _, told = order[0]
    attempts = {each.attempt.id: each for _, _, each in bundle}.values()
    here = {spot[1].id for spot in bundle}
    more = sum(
        each.total - len(each.anomalies) for each in attempts if each.anomalies[-1].id in here
    )
    return Mark(x=x, told=told, anomalies=tuple(spot[1] for spot in order), more=more)


_WEIGHTS = {Role.ROOT: 0, Role.CASCADE: 1, Role.TEARDOWN: 2, Role.BENIGN: 3}


def _weight(record: AnomalyRecord) -> int:
    return _WEIGHTS[record.anomaly.finding.role]


def _budget(job: JobRecord, told: Sequence[Told], limits: Limits) -> tuple[int, int] | None:
    """Requeues used and allowed; None where ajrd requeues nothing."""
    if not job.managed:
        return None
    directive = parse_directive(job.comment, limits)
    if isinstance(directive, NotManaged) or directive.mode is not ResumeMode.REQUEUE:
        return None
    requeues = (each.decision for each in told)
    used = max((each.used for each in requeues if each and each.verb is Verb.REQUEUE), default=0)
    return max(used, job.restarts_before), directive.max_requeue_times


def grouped(lanes: Iterable[Lane]) -> list[Group]:
    """Jobs of one user and name in a singleton chain lie together, where the first of them is."""
    groups: list[Group] = []
    chains: dict[tuple[str, str, str], Group] = {}
    for each in lanes:
        job = each.job
        key = (job.cluster, job.user, job.name)
        if not in_chain(job.comment):
            groups.append(Group([each]))
        elif key in chains:
            chains[key].lanes.append(each)
        else:
            chains[key] = Group([each], job.name, job.user)
            groups.append(chains[key])
    return groups


def in_chain(comment: str) -> bool:
    """Does this job ask to be followed by the next of its chain?"""
    if ResumeMode.SINGLETON not in comment:
        return False
    directive = parse_directive(comment, Limits())
    return not isinstance(directive, NotManaged) and directive.mode is ResumeMode.SINGLETON


def counted(lanes: Iterable[Lane]) -> Mapping[Outcome, int]:
    """How many bars of each outcome are shown."""
    counts = dict.fromkeys(Outcome, 0)
    for each in lanes:
        for bar in each.bars:
            counts[bar.outcome] += 1
    return counts


def directive_text(comment: str) -> str:
    """A comment as its owner would lay it out, or as it is where it is no JSON."""
    try:
        return json.dumps(bounded_json.parse(comment), indent=2, ensure_ascii=False)
    except bounded_json.JsonRefused:
        return comment
