"""Small values that the unit tests are about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ajrd.model import (
    Anomaly,
    Directive,
    Finding,
    JobInfo,
    JobState,
    Kind,
    Recovery,
    ResumeMode,
    Role,
    Verdict,
)

T0 = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
COMMENT = '{"APS": {"auto_resume_mode": "requeue", "max_requeue_times": 1}}'


def at(seconds: float) -> datetime:
    """A moment, in seconds after T0."""
    return T0 + timedelta(seconds=seconds)


def job(**changes: Any) -> JobInfo:
    """A running batch job that opted in."""
    values: dict[str, Any] = {
        "job_id": "7",
        "raw_id": 7,
        "name": "train",
        "user": "ada",
        "uid": 1000,
        "partition": "main",
        "state": JobState.RUNNING,
        "submit_time": T0,
        "start_time": T0,
        "nodes": "n[1-2]",
        "comment": COMMENT,
    }
    return JobInfo(**values | changes)


def finding(**changes: Any) -> Finding:
    """A segfault line."""
    values: dict[str, Any] = {
        "rule": "crash.segfault",
        "kind": Kind.CRASH,
        "cause": "segfault",
        "role": Role.ROOT,
        "recovery": Recovery.REQUEUE,
        "offset": 100,
        "line_no": 4,
        "text": "Rank0: (1) segmentation fault",
    }
    return Finding(**values | changes)


def anomaly(seconds: float = 0, source: str = "a.log", **changes: Any) -> Anomaly:
    """A segfault line read ``seconds`` after T0."""
    return Anomaly(finding(**changes), source, at(seconds))


def directive(**changes: Any) -> Directive:
    """A directive that allows one requeue."""
    values: dict[str, Any] = {"mode": ResumeMode.REQUEUE, "max_requeue_times": 1}
    return Directive(**values | changes)


def verdict(**changes: Any) -> Verdict:
    """The verdict on a segfault."""
    values: dict[str, Any] = {
        "kind": Kind.CRASH,
        "cause": "segfault",
        "recovery": Recovery.REQUEUE,
        "reason": "the first cause",
        "finding": finding(),
    }
    return Verdict(**values | changes)
