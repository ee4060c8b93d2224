"""Rows to values and back: the one place that knows both the columns and the dataclasses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from ajrd.model import (
    ActionState,
    Anomaly,
    DecisionState,
    Finding,
    Kind,
    Progress,
    ReadPosition,
    Recovery,
    RequestState,
    RequestVerb,
    Role,
    Step,
    Verb,
)
from ajrd.store.records import (
    ActionRecord,
    AnomalyRecord,
    AttemptRecord,
    DecisionRecord,
    EventRecord,
    Failure,
    JobRecord,
    LeaseRecord,
    RequestRecord,
    SourceRecord,
)
from ajrd.store.values import bounded, path_again, unsigned

Row = Mapping[str, Any]


def moment(value: Any) -> datetime | None:
    """A time: UTC, kept without a zone: text in SQLite, a datetime in MySQL."""
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return None if when is None else when.replace(tzinfo=UTC)


def stored(when: datetime) -> str:
    """The same the other way: as both databases keep and compare a time."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str | bytes) else value


_TIMES = (
    "first_submit_time", "submit_time", "seen_at", "started_at", "ended_at", "detected_at",
    "hold_deadline", "created_at", "closed_at", "intended_at", "claimed_at", "finished_at", "at",
    "progress_at", "updated_at", "acquired_at", "renewed_at", "expires_at", "eligible_at",
    "first_progress_at", "asked_at", "done_at", "verdict_at", "submitted_at", "failed_at",
)  # fmt: skip
_FLAGS = (
    "managed", "closed", "degraded", "progressed", "excluded", "paused", "recovered", "complete",
)  # fmt: skip
#: How a column that is not kept as it is comes back.
_DECODERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TIMES, moment),
    **dict.fromkeys(("before", "after", "facts"), _json),
    **dict.fromkeys(_FLAGS, bool),
    **dict.fromkeys(("path", "source"), path_again),
    **dict.fromkeys(("device", "inode"), unsigned),
}


def _decoded(row: Row, name: str) -> Any:
    decoder = _DECODERS.get(name)
    return row[name] if decoder is None else decoder(row[name])


def plain(row: Row) -> dict[str, Any]:
    """Every column as the value that it stands for."""
    return {name: _decoded(row, name) for name in row}


def _pick(kind: type, row: Row) -> dict[str, Any]:
    return {f.name: _decoded(row, f.name) for f in fields(kind) if f.name in row}


def job(row: Row) -> JobRecord:
    """A row of ``jobs``."""
    return JobRecord(**_pick(JobRecord, row))


def attempt(row: Row) -> AttemptRecord:
    """A row of ``attempts``."""
    return AttemptRecord(**_pick(AttemptRecord, row))


def action(row: Row) -> ActionRecord:
    """A row of ``actions``."""
    values = _pick(ActionRecord, row)
    values |= {"step": Step(row["step"]), "state": ActionState(row["state"])}
    return ActionRecord(**values)


def decision(row: Row, actions: tuple[ActionRecord, ...] = ()) -> DecisionRecord:
    """A row of ``decisions`` with its actions."""
    values = _pick(DecisionRecord, row)
    values |= {"verb": Verb(row["verb"]), "state": DecisionState(row["state"])}
    return DecisionRecord(**values | {"actions": actions})


def event(row: Row) -> EventRecord:
    """A row of ``events``."""
    return EventRecord(**_pick(EventRecord, row))


def request(row: Row) -> RequestRecord:
    """A row of ``requests``."""
    values = _pick(RequestRecord, row)
    values |= {"verb": RequestVerb(row["verb"]), "state": RequestState(row["state"])}
    return RequestRecord(**values)


def lease(row: Row) -> LeaseRecord:
    """A row of ``leases``."""
    return LeaseRecord(**_pick(LeaseRecord, row))


def failure(row: Row) -> Failure:
    """What became of an attempt, from :func:`~ajrd.store.queries.failures_of`."""
    return Failure(**_pick(Failure, row))


def source(row: Row) -> SourceRecord:
    """A row of ``log_positions`` as readers see it."""
    return SourceRecord(**_pick(SourceRecord, row))


def position(row: Row) -> ReadPosition:
    """A row of ``log_positions`` as the log follower needs it."""
    return ReadPosition(**_pick(ReadPosition, row))


def anomaly(row: Row) -> AnomalyRecord:
    """A row of ``anomalies``."""
    finding = Finding(
        rule=row["rule"],
        kind=Kind(row["kind"]),
        cause=row["cause"],
        role=Role(row["role"]),
        recovery=Recovery(row["recovery"]),
        offset=row["offset"],
        line_no=row["line_no"],
        text=row["text"],
        before=tuple(_decoded(row, "before")),
        after=tuple(_decoded(row, "after")),
        facts=dict(_decoded(row, "facts")),
    )
    source, detected_at = _decoded(row, "source"), _decoded(row, "detected_at")
    seen = Anomaly(finding, source, detected_at, row["twin"] or "")
    return AnomalyRecord(id=row["id"], attempt=row["attempt"], anomaly=seen)


def anomaly_values(attempt_id: int, seen: Anomaly) -> dict[str, Any]:
    """The columns of one anomaly. ``digest`` names the line, so it can be kept only once."""
    finding = seen.finding
    place = f"{seen.source}\0{finding.offset}\0{finding.rule}\0{finding.text}"
    return {
        "attempt": attempt_id,
        "rule": finding.rule,
        "kind": finding.kind.value,
        "cause": finding.cause,
        "role": finding.role.value,
        "recovery": finding.recovery.value,
        "source": seen.source,
        "offset": finding.offset,
        "line_no": finding.line_no,
        "text": finding.text,
        "before": list(finding.before),
        "after": list(finding.after),
        "facts": dict(finding.facts),
        "detected_at": seen.detected_at,
        "digest": seen.twin or text_digest(place),
        "twin": seen.twin or None,
    }


def position_values(attempt_id: int, where: ReadPosition, now: datetime) -> dict[str, Any]:
    """The columns of one read position."""
    return {
        "attempt": attempt_id,
        "path": where.path,
        "path_digest": text_digest(where.path),
        "device": where.device,
        "inode": where.inode,
        "offset": where.offset,
        "line_no": where.line_no,
        "tail": where.tail,
        "updated_at": now,
    }


def progress_values(progress: Progress, now: datetime) -> dict[str, Any]:
    """The columns of the newest progress in one log."""
    step = None if progress.step is None else bounded(progress.step)
    return {
        "progress_offset": progress.offset,
        "progress_at": now,
        "progress_text": progress.text,
        "progress_step": step,
    }


def column(row: Row, name: str) -> Any:
    """One column as the dataclasses hold it, of a row that is none of theirs."""
    return _decoded(row, name)


def text_digest(text: str) -> str:
    """64 hex digits that stand for a text too long for an index."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
