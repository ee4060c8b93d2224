"""What the API answers, as pydantic models: the answers and their description are made from these.

Times are ISO 8601 with zone, durations seconds. Text is as it was found; what is no text (bytes of
a path that are no UTF-8) is shown as escapes.
"""

from __future__ import annotations

import os
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ajrd.model import (
    ActionState,
    DecisionState,
    Kind,
    Recovery,
    RequestState,
    RequestVerb,
    Role,
    Step,
    Verb,
)


def _shown_path(path: Any) -> Any:
    return os.fsencode(path).decode("utf-8", "backslashreplace") if isinstance(path, str) else path


Path = Annotated[str, BeforeValidator(_shown_path)]


class Answer(BaseModel):
    """What is made of rows and records; names that it does not have are left out."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class Job(Answer):
    """One submission. ``id`` is the number of its row, ``job_id`` what Slurm's commands take."""

    id: int
    cluster: str
    job_id: str
    name: str
    user: str
    partition: str
    state: str
    reason: str
    managed: bool
    paused: bool
    closed: bool
    note: str = Field(description="why it is not managed, or was understood differently")
    restarts: int
    first_submit_time: datetime
    submit_time: datetime
    seen_at: datetime


class _OfJob(Answer):
    """What a row of a list says of its job."""

    cluster: str
    job_id: str
    job_name: str
    user: str
    partition: str


class AttemptFacts(Answer):
    """One execution of a job; ``idx`` counts from 0. ``state`` REQUEUED: a restart ended it."""

    id: int
    idx: int
    state: str
    nodes: str
    started_at: datetime
    ended_at: datetime | None
    exit_code: int
    signal: int
    log_note: str
    eligible_at: datetime | None
    node_count: int
    cpus: int
    gpus: int


class Attempt(AttemptFacts, _OfJob):
    """An attempt with its job."""


class AnomalyFacts(Answer):
    """One recognised line, or end state, of an attempt."""

    id: int
    attempt: int
    rule: str
    kind: Kind
    cause: str
    role: Role
    recovery: Recovery
    source: Path
    offset: int
    line_no: int
    text: str
    facts: dict[str, str]
    detected_at: datetime


class Anomaly(AnomalyFacts, _OfJob):
    """An anomaly with its attempt and its job; ``text`` is cut after 500 characters."""

    attempt_idx: int


class Evidence(AnomalyFacts):
    """An anomaly with the lines around it; each is cut after 4000 characters."""

    before: list[str]
    after: list[str]


class DecisionFacts(Answer):
    """What should happen to an attempt, why, and what became of it."""

    id: int
    attempt: int
    anomaly: int | None
    verb: Verb
    branch: str
    cause: str
    reason: str
    exclude_nodes: str
    state: DecisionState
    outcome: str
    detail: str
    hold_deadline: datetime | None
    created_at: datetime
    closed_at: datetime | None
    used: int = Field(description="requeues of the job by ajrd, this one included")
    start_delay: float
    degraded: bool = Field(description="carried out while the database was away")


class Decision(DecisionFacts, _OfJob):
    """A decision with its attempt and its job."""

    attempt_idx: int
    nodes: str
    kind: Kind | None


class Action(Answer):
    """One Slurm command of a decision."""

    id: int
    step: Step
    target: str
    state: ActionState
    tries: int
    result: str
    intended_at: datetime
    claimed_at: datetime | None
    finished_at: datetime | None


class Event(Answer):
    """A line of the audit trail; without a job it is about the service."""

    id: int
    at: datetime
    event: str
    message: str
    attempt_idx: int | None
    cluster: str | None
    job_id: str | None
    job_name: str | None
    user: str | None
    partition: str | None


class EventOfJob(Answer):
    """A line of the audit trail in the story of its job."""

    id: int
    at: datetime
    event: str
    message: str
    attempt_idx: int | None


class Source(Answer):
    """A log as read for an attempt, with the newest line that showed progress."""

    path: Path
    offset: int
    line_no: int
    progress_offset: int | None
    progress_at: datetime | None
    progress_text: str | None
    progress_step: int | None
    first_progress_at: datetime | None
    first_step: int | None
    updated_at: datetime


class Request(Answer):
    """What somebody has asked for."""

    id: int
    job_id: str
    verb: RequestVerb
    by: str
    reason: str
    state: RequestState
    result: str
    asked_at: datetime
    done_at: datetime | None


class Suspicion(_OfJob):
    """A node that was held to be the cause of a failure; ``excluded``: the successor avoids it."""

    id: int
    node: str
    kind: Kind
    cause: str
    excluded: bool
    at: datetime
    verdict: str
    verdict_at: datetime | None
    attempt_idx: int


class Efficiency(Answer):
    """Where the time of an attempt has gone; what is not known (yet) is null."""

    id: int
    attempt: int
    cluster: str
    job_id: str
    job_name: str
    user: str
    partition: str
    attempt_idx: int
    state: str
    kind: str
    cause: str
    outcome: str
    recovered: bool
    node_count: int
    gpus: int
    submitted_at: datetime
    eligible_at: datetime | None
    started_at: datetime
    failed_at: datetime | None
    ended_at: datetime | None
    queued_seconds: float | None
    starting_seconds: float | None
    productive_seconds: float | None
    lost_seconds: float | None
    detection_seconds: float | None
    kill_seconds: float | None
    requeue_wait_seconds: float | None
    restart_seconds: float | None
    automatic_downtime_seconds: float | None
    manual_downtime_seconds: float | None
    manual_baseline_seconds: float | None
    saved_seconds: float | None
    allocated_gpu_hours: float
    goodput_gpu_hours: float
    complete: bool
    updated_at: datetime


class DecisionStory(DecisionFacts):
    """A decision with its commands."""

    actions: list[Action]


class AttemptStory(AttemptFacts):
    """An attempt with its evidence, its logs and the decision on it."""

    anomalies: list[Evidence]
    sources: list[Source]
    decision: DecisionStory | None


class JobStory(Job):
    """All that is known of a job; ``more``: what is left out because it is too much for here."""

    comment: str = Field(description="the directive as it was written")
    attempts: list[AttemptStory]
    requests: list[Request] = Field(description="the newest 100, oldest first")
    events: list[EventOfJob] = Field(description="the newest 200, oldest first")
    more: list[str] = Field(description="addresses of lists that hold what is left out here")


class Trouble(Answer):
    """A warning or an error of the service's own log."""

    at: datetime
    event: str
    message: str


class LogSource(Answer):
    """Where log lines come from; ``lag`` in seconds."""

    name: str
    state: str
    why: str
    lag: float
    followed: int


class Service(Answer):
    """The process that answers. What only operators may know is null for others."""

    version: str
    role: str
    mode: str
    rules: int
    rules_digest: str
    started_at: datetime
    slurm_version: str
    slurm_seen_at: datetime | None
    store_away_since: datetime | None
    sources: list[LogSource]
    host: str | None
    pid: int | None
    slurm_why: str | None
    store_url: str | None
    troubles: list[Trouble] | None


T = TypeVar("T", bound=Answer)


class Page(BaseModel, Generic[T]):
    """Some of a list, newest first.

    ``next`` is the address of the next page, null at the end of the list. A page may be short, or
    even empty, and yet have a next one: where a filter leaves few rows, each page has looked at a
    stretch of the list.
    """

    items: list[T]
    next: str | None


class ProblemDetails(BaseModel):
    """An error (RFC 9457); ``request_id`` is what the service's log calls it."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    request_id: str


class NewRequest(BaseModel):
    """Why it is asked for; it stands in the audit trail."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=1000)
