"""The rows of the store as values, for the recovery loop and for readers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from ajrd.model import (
    ActionState,
    Anomaly,
    DecisionState,
    Progress,
    ReadPosition,
    RequestState,
    RequestVerb,
    Step,
    Verb,
)

#: The result of a command whose answer was lost, when Slurm shows what it has done.
RESULT_SEEN = "its result was seen"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """One submission. ``restarts_before`` are those that happened before ajrd knew the job.

    ``paused``: somebody has asked that nothing be done to it until he says otherwise. ``note`` says
    why a job is not managed, or what was understood differently than written.
    """

    id: int
    cluster: str
    job_id: str
    raw_id: int
    first_submit_time: datetime
    submit_time: datetime
    name: str
    user: str
    uid: int
    partition: str
    comment: str
    managed: bool
    note: str
    restarts: int
    restarts_before: int
    state: str
    reason: str
    closed: bool
    seen_at: datetime
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One execution of a job; ``state`` is Slurm's, or REQUEUED when a restart ended it.

    ``eligible_at``: since when nothing but resources has kept it from starting.
    """

    id: int
    job: int
    idx: int
    state: str
    nodes: str
    started_at: datetime
    ended_at: datetime | None = None
    exit_code: int = 0
    signal: int = 0
    log_note: str = ""
    eligible_at: datetime | None = None
    node_count: int = 0
    cpus: int = 0
    gpus: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnomalyRecord:
    """An anomaly with its row number; ``new``: its row was made for it just now."""

    id: int
    attempt: int
    anomaly: Anomaly
    new: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a stretch of Loki was read: up to ``ns``, in nanoseconds since 1970."""

    name: str
    ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What came for one attempt from somewhere else than a file: (position, progress) pairs."""

    attempt: AttemptRecord
    seen: tuple[Anomaly, ...]
    positions: tuple[tuple[ReadPosition, Progress | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionRecord:
    """One Slurm command of a decision, with what became of it.

    ``claimed_at`` is that of the last try, ``epoch`` the lease under which it was made.
    """

    id: int
    decision: int
    step: Step
    key: str
    target: str
    state: ActionState
    tries: int
    result: str
    intended_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None
    epoch: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """What should happen to one attempt, and where it stands.

    ``used`` counts the requeues of the job by ajrd, this one included; ``start_delay`` (s) is how
    long the successor's start is put off; ``epoch`` is the lease it was written under, ``cause``
    what the attempt died of; ``degraded``: it was carried out while the database was away.
    """

    id: int
    attempt: int
    anomaly: int | None
    verb: Verb
    branch: str
    reason: str
    exclude_nodes: str
    state: DecisionState
    outcome: str
    detail: str
    hold_deadline: datetime | None
    created_at: datetime
    closed_at: datetime | None
    used: int = 0
    start_delay: float = 0.0
    epoch: int = 0
    degraded: bool = False
    cause: str = ""
    actions: tuple[ActionRecord, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """One line of the audit trail."""

    id: int
    at: datetime
    job: int | None
    attempt_idx: int | None
    event: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """What somebody (``by``) has asked for one job (its row), and what became of it."""

    id: int
    job: int
    verb: RequestVerb
    by: str
    reason: str
    state: RequestState
    result: str
    asked_at: datetime
    done_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a request: ``result`` is a sentence for whoever asked."""

    request: RequestRecord
    state: RequestState
    result: str


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A node that the evidence of an attempt implicates; ``excluded``: its successor avoids it."""

    node: str
    kind: str
    cause: str
    excluded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """A log file as read for an attempt: how far, its newest progress line, its furthest step.

    ``first_progress_at`` and ``first_step`` are of the first progress that was read in it.
    """

    path: str
    offset: int
    line_no: int
    progress_offset: int | None
    progress_at: datetime | None
    progress_text: str | None
    updated_at: datetime
    progress_step: int | None = None
    first_progress_at: datetime | None = None
    first_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How far an attempt got and what ended it: "the same again" is told from these.

    ``cause`` is that of its decision, "" if there is none; ``progress_step`` the furthest step
    that its logs told, ``progressed`` whether they told of any progress at all, ``excluded``
    whether its successor was kept away from nodes.
    """

    idx: int
    cause: str
    progress_step: int | None
    progressed: bool
    excluded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """Who leads, by the database's clock; ``holder`` "" means nobody."""

    name: str
    holder: str
    host: str
    pid: int
    epoch: int
    acquired_at: datetime
    renewed_at: datetime
    expires_at: datetime
