"""Rows to values and back: the one place that knows both the columns and the dataclasses."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping

from ajrd.model import (
    ActionState,
    Anomaly,
    DecisionState,
    Finding,
    Kind,
    ReadPosition,
    Recovery,
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
    JobRecord,
    SourceRecord,
)

Row = RowMapping


def _pick(kind: type, row: Row) -> dict[str, Any]:
    return {f.name: row[f.name] for f in fields(kind) if f.name in row}


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
        before=tuple(row["before"]),
        after=tuple(row["after"]),
        facts=dict(row["facts"]),
    )
    seen = Anomaly(finding, row["source"], row["detected_at"])
    return AnomalyRecord(id=row["id"], attempt=row["attempt"], anomaly=seen)


def anomaly_values(attempt_id: int, seen: Anomaly) -> dict[str, Any]:
    """The columns of one anomaly. ``digest`` names the line, so it can be kept only once."""
    finding = seen.finding
    identity = f"{seen.source}\0{finding.offset}\0{finding.rule}\0{finding.text}"
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
        "digest": text_digest(identity),
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


def text_digest(text: str) -> str:
    """64 hex digits that stand for a text too long for an index."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
