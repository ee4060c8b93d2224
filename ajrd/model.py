"""The types that every part of ajrd speaks in: jobs, attempts, anomalies, decisions.

All values are frozen, slotted dataclasses or enums; they hold no I/O and no clock. Times are
aware UTC datetimes, durations are seconds (float), node lists are in Slurm's compressed
notation (``n[1-4]``) unless a field says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What sort of trouble an anomaly is."""

    CRASH = "CRASH"
    HANG = "HANG"
    SLOWDOWN = "SLOWDOWN"
    NUMERIC = "NUMERIC"
    OOM = "OOM"
    STORAGE = "STORAGE"
    NETWORK = "NETWORK"
    HARDWARE = "HARDWARE"
    NODE = "NODE"
    LAUNCH = "LAUNCH"
    USER = "USER"
    SCHEDULER = "SCHEDULER"


class Role(StrEnum):
    """What part an anomaly plays in the story of its attempt."""

    ROOT = "root"
    CASCADE = "cascade"
    TEARDOWN = "teardown"
    BENIGN = "benign"


class Recovery(StrEnum):
    """What another attempt would need to make sense."""

    REQUEUE = "requeue"
    REQUEUE_EXCLUDE = "requeue_exclude"
    STOP = "stop"
    NONE = "none"


class JobState(StrEnum):
    """Slurm's base job states (``squeue(1)``, JOB STATE CODES), without the flags."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    BOOT_FAIL = "BOOT_FAIL"
    DEADLINE = "DEADLINE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"

    @property
    def ended(self) -> bool:
        """True for every state that Slurm calls finished."""
        return self not in (JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED)


class HoldBy(StrEnum):
    """Who holds a pending job, read from Slurm's ``Reason`` (FACTS: requeuehold, user, admin)."""

    NOBODY = "nobody"
    REQUEUE_HOLD = "requeue_hold"
    USER = "user"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """One job as slurmctld shows it at one moment.

    ``job_id`` is the name that commands take: ``123``, ``123_4`` for an array task, ``123+1``
    for a het component; a whole het job goes by the number of its first one, and ``components``
    are the raw ids of all of them. ``restarts`` is Slurm's own counter and so the index of the
    attempt that is running, or that will run next. ``completing`` is the COMPLETING flag:
    processes may still be alive. ``std_out``/``std_err`` are paths as far as Slurm names them,
    else "". ``cpus`` and ``gpus`` are those allocated. ``array_pending`` marks the one record that
    stands for all tasks not yet started.
    """

    job_id: str
    raw_id: int
    name: str
    user: str
    uid: int
    partition: str
    state: JobState
    submit_time: datetime
    gid: int = 0
    completing: bool = False
    configuring: bool = False
    reason: str = "None"
    held: HoldBy = HoldBy.NOBODY
    restarts: int = 0
    requeue: bool = True
    batch: bool = True
    array_job_id: int | None = None
    array_pending: bool = False
    het_job_id: int | None = None
    components: tuple[int, ...] = ()
    eligible_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    nodes: str = ""
    cpus: int = 0
    gpus: int = 0
    exclude_nodes: str = ""
    exit_code: int = 0
    signal: int = 0
    dependency: str = ""
    work_dir: str = ""
    std_out: str = ""
    std_err: str = ""
    comment: str = ""
    admin_comment: str = ""

    @property
    def alive(self) -> bool:
        """True while processes of the current attempt may run."""
        return self.completing or self.state in (JobState.RUNNING, JobState.SUSPENDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepInfo:
    """One running job step; ``std_out``/``std_err`` only from Slurm 25.05 on, else "".

    ``patterns`` are absolute and stand for the files of several tasks or nodes (``%t``), of which
    Slurm names the first one only.
    """

    job_id: str
    step_id: str
    name: str
    nodes: str
    tasks: int = 1
    start_time: datetime | None = None
    std_out: str = ""
    std_err: str = ""
    patterns: tuple[str, ...] = ()
    srun_host: str = ""
    srun_pid: int = 0


class LogOrigin(StrEnum):
    """How ajrd came to know a log file."""

    STEP = "step"
    BATCH = "batch"
    DIRECTIVE = "directive"
    SEARCH = "search"
    HOOK = "hook"


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log file of an attempt, to be opened as ``uid``:``gid``."""

    path: str
    uid: int
    gid: int
    origin: LogOrigin


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """How far one file has been read, and what it looked like there.

    ``offset`` is in bytes from the start of the file, ``line_no`` counts complete lines before
    it, ``tail`` is a digest of the first 256 bytes and of those right before ``offset``: a file
    of the same inode whose bytes there differ has been truncated and written anew.
    """

    path: str
    device: int
    inode: int
    offset: int
    line_no: int
    tail: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One recognised line of one log: an anomaly not yet tied to an attempt.

    ``offset`` is the byte offset of the line in its source, ``line_no`` is 1-based.
    ``before``/``after`` are neighbouring lines; ``facts`` holds rank, node, gpu, xid, signal …
    All text is printable: control characters are already neutralised.
    """

    rule: str
    kind: Kind
    cause: str
    role: Role
    recovery: Recovery
    offset: int
    line_no: int
    text: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """The newest sign of progress in a stretch of one log; ``offset`` is that of its line."""

    offset: int
    line_no: int
    text: str
    step: int | None = None


@dataclass(frozen=True, slots=True)
class Anomaly:
    """A finding in an attempt: where it stood and when ajrd read it.

    ``source`` is the file path, ``loki:<file or stream>`` or ``slurm`` (the end state itself).
    ``twin`` names the entry of Loki that it was found in, "" for any other.
    """

    finding: Finding
    source: str
    detected_at: datetime
    twin: str = ""

    @property
    def by_loki(self) -> bool:
        """Is it known from Loki alone?"""
        return self.source.startswith("loki:")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What broke first in an attempt, by all its evidence; ``cause`` None: nothing is wrong.

    ``facts`` are those of the deciding finding, completed by others of the same cause.
    """

    kind: Kind | None
    cause: str | None
    recovery: Recovery
    reason: str
    finding: Finding | None = None
    nodes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


class ResumeMode(StrEnum):
    """``auto_resume_mode`` of the directive."""

    REQUEUE = "requeue"
    SINGLETON = "singleton_dependency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """What the owner of a job asks for in ``--comment``, checked and with site limits applied.

    ``resume_on`` names causes or end states that the owner wants retried although they count
    as pointless, or, with ``-`` before the name, not retried although they do not; ``progress``
    is a pattern of lines that only the working program prints; ``notes`` are sentences for the
    owner about what was understood differently from what was written (a clamped number, an
    unknown key).
    """

    mode: ResumeMode
    max_requeue_times: int
    log_paths: tuple[str, ...] = ()
    exclude_nodes: bool = True
    resume_on: frozenset[str] = frozenset()
    progress: str = ""
    notes: tuple[str, ...] = ()


class Verb(StrEnum):
    """What is to happen to one attempt."""

    REQUEUE = "requeue"
    STOP = "stop"
    CHAIN = "chain"
    LEAVE = "leave"


class DecisionState(StrEnum):
    """Where a decision stands. OBSERVED: written down in observe mode, never executed."""

    OPEN = "open"
    CONVERGED = "converged"
    ABANDONED = "abandoned"
    OBSERVED = "observed"


class Step(StrEnum):
    """The Slurm commands that a decision consists of."""

    ANNOUNCE = "announce"
    REQUEUE_HOLD = "requeue_hold"
    UPDATE = "update"
    RELEASE = "release"
    CANCEL = "cancel"
    RELEASE_NEXT = "release_next"


class ActionState(StrEnum):
    """INTENDED: written down. CLAIMED: its command may have run. DONE, SKIPPED, FAILED: over."""

    INTENDED = "intended"
    CLAIMED = "claimed"
    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


class RequestVerb(StrEnum):
    """What people may ask to be done to a job."""

    PAUSE = "pause"
    RESUME = "resume"
    REQUEUE = "requeue"
    RELEASE = "release"
    ABANDON = "abandon"


class RequestState(StrEnum):
    """OPEN: the leader has not answered yet."""

    OPEN = "open"
    DONE = "done"
    REFUSED = "refused"


class Occasion(StrEnum):
    """What webhooks may be told of."""

    RECOVERED = "job.recovered"
    GIVEN_UP = "job.given_up"
    SUSPECTED = "node.suspected"
