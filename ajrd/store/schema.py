"""The tables of the store.

One row of ``jobs`` is one submission, of ``attempts`` one execution of it; ``decisions`` has at
most one row an attempt, ``actions`` one a Slurm command of a decision.

Written in SQLAlchemy Core so that SQLite and MySQL share it. Times are UTC with microseconds; texts
and numbers are made to fit by the types of their columns (:mod:`ajrd.store.values`). A change here
needs a revision in ``migrations/versions``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import SchemaItem

from ajrd.store import values

#: The newest revision of ``migrations/versions``: what this ajrd reads and writes.
REVISION = "0005"


class UtcTime(TypeDecorator[datetime]):
    """An aware UTC datetime, kept without a zone and with microseconds."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuses naive times: nobody could say what they mean."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"a time without zone cannot be stored: {value!r}")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """What is stored is UTC."""
        return None if value is None else value.replace(tzinfo=UTC)


class Name(TypeDecorator[str]):
    """A short text; what is longer is cut."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Makes it fit."""
        return None if value is None else values.storable(value, self.length)


class Words(TypeDecorator[str]):
    """A text of up to :data:`~ajrd.store.values.TEXT_LIMIT` characters."""

    impl = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Makes it fit."""
        return None if value is None else values.storable(value)


class FilePath(Words):
    """A path, or a source that may be one: bytes that are no text come back as they were."""

    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Makes it text."""
        return None if value is None else values.storable_path(value)


class Document(TypeDecorator[Any]):
    """Lists and mappings of texts."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Makes every text in it fit."""
        return values.storable_json(value)


class Unsigned(TypeDecorator[int]):
    """A number below 2^64, as devices and inodes are."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:
        """Wraps it."""
        return None if value is None else values.signed(value)


metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")


def _table(name: str, *parts: SchemaItem) -> Table:
    """Names are case sensitive on MySQL, too, and any character may stand in them."""
    return Table(
        name,
        metadata,
        *parts,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True, autoincrement=True)


def _ref(name: str, target: str, *, unique: bool = False, null: bool = False) -> Column[int]:
    return Column(
        name,
        _Id,
        ForeignKey(f"{target}.id", ondelete="CASCADE"),
        unique=unique,
        nullable=null,
    )


jobs = _table(
    "jobs",
    _id(),
    Column("cluster", Name(64), nullable=False),
    Column("job_id", Name(64), nullable=False),
    Column("raw_id", BigInteger, nullable=False),
    Column("first_submit_time", UtcTime, nullable=False),
    Column("submit_time", UtcTime, nullable=False),
    Column("name", Name(255), nullable=False),
    Column("user", Name(64), nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("partition", Name(64), nullable=False),
    Column("comment", Words, nullable=False),
    Column("managed", Boolean, nullable=False),
    Column("note", Words, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("restarts_before", Integer, nullable=False),
    Column("state", Name(32), nullable=False),
    Column("reason", Name(255), nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Column("paused", Boolean, nullable=False, default=False, server_default=text("0")),
    UniqueConstraint("cluster", "job_id", "first_submit_time", name="uq_jobs_identity"),
    Index("ix_jobs_closed", "cluster", "closed"),
    Index("ix_jobs_job_id", "job_id", "first_submit_time"),
    Index("ix_jobs_user", "user", "id"),
    Index("ix_jobs_workflow", "user", "name", "id"),
    Index("ix_jobs_partition", "partition", "id"),
    Index("ix_jobs_seen", "closed", "seen_at"),
    Index("ix_jobs_state", "state", "id"),
)

attempts = _table(
    "attempts",
    _id(),
    _ref("job", "jobs"),
    Column("idx", Integer, nullable=False),
    Column("state", Name(32), nullable=False),
    Column("nodes", Words, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("exit_code", Integer, nullable=False, default=0),
    Column("signal", Integer, nullable=False, default=0),
    Column("log_note", Words, nullable=False, default=""),
    Column("eligible_at", UtcTime),
    Column("node_count", Integer, nullable=False, default=0, server_default=text("0")),
    Column("cpus", Integer, nullable=False, default=0, server_default=text("0")),
    Column("gpus", Integer, nullable=False, default=0, server_default=text("0")),
    UniqueConstraint("job", "idx", name="uq_attempts_idx"),
    Index("ix_attempts_started", "started_at"),
)

anomalies = _table(
    "anomalies",
    _id(),
    _ref("attempt", "attempts"),
    Column("rule", Name(128), nullable=False),
    Column("kind", Name(32), nullable=False),
    Column("cause", Name(64), nullable=False),
    Column("role", Name(16), nullable=False),
    Column("recovery", Name(32), nullable=False),
    Column("source", FilePath, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("line_no", BigInteger, nullable=False),
    Column("text", Words, nullable=False),
    Column("before", Document, nullable=False),
    Column("after", Document, nullable=False),
    Column("facts", Document, nullable=False),
    Column("detected_at", UtcTime, nullable=False),
    Column("digest", Name(64), nullable=False),
    Column("twin", Name(64)),
    UniqueConstraint("attempt", "digest", name="uq_anomalies_line"),
    Index("uq_anomalies_twin", "attempt", "twin", unique=True),
    Index("ix_anomalies_kind", "kind", "id"),
    Index("ix_anomalies_cause", "cause", "id"),
    Index("ix_anomalies_detected", "detected_at"),
)

decisions = _table(
    "decisions",
    _id(),
    _ref("attempt", "attempts", unique=True),
    _ref("anomaly", "anomalies", null=True),
    Column("verb", Name(16), nullable=False),
    Column("branch", Name(32), nullable=False),
    Column("reason", Words, nullable=False),
    Column("exclude_nodes", Words, nullable=False),
    Column("state", Name(16), nullable=False),
    Column("outcome", Name(64), nullable=False),
    Column("detail", Words, nullable=False),
    Column("hold_deadline", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    Column("used", Integer, nullable=False, default=0, server_default=text("0")),
    Column("start_delay", Double, nullable=False, default=0.0, server_default=text("0")),
    Column("epoch", BigInteger, nullable=False, default=0, server_default=text("0")),
    Column("degraded", Boolean, nullable=False, default=False, server_default=text("0")),
    Column("cause", Name(64), nullable=False, default="", server_default=text("''")),
    Index("ix_decisions_state", "state"),
    Index("ix_decisions_anomaly", "anomaly"),
)

actions = _table(
    "actions",
    _id(),
    _ref("decision", "decisions"),
    Column("step", Name(32), nullable=False),
    Column("key", Name(191), nullable=False, unique=True),
    Column("target", Name(64), nullable=False),
    Column("state", Name(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("result", Words, nullable=False),
    Column("intended_at", UtcTime, nullable=False),
    Column("claimed_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("epoch", BigInteger, nullable=False, default=0, server_default=text("0")),
    Index("ix_actions_decision", "decision"),
)

events = _table(
    "events",
    _id(),
    Column("at", UtcTime, nullable=False),
    _ref("job", "jobs", null=True),
    Column("attempt_idx", Integer),
    Column("event", Name(64), nullable=False),
    Column("message", Words, nullable=False),
    Index("ix_events_job", "job", "id"),
    Index("ix_events_at", "at"),
)

log_positions = _table(
    "log_positions",
    _id(),
    _ref("attempt", "attempts"),
    Column("path", FilePath, nullable=False),
    Column("path_digest", Name(64), nullable=False),
    Column("device", Unsigned, nullable=False),
    Column("inode", Unsigned, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("line_no", BigInteger, nullable=False),
    Column("tail", Name(64), nullable=False),
    Column("progress_offset", BigInteger),
    Column("progress_at", UtcTime),
    Column("progress_text", Words),
    Column("updated_at", UtcTime, nullable=False),
    Column("progress_step", BigInteger),
    Column("first_progress_at", UtcTime),
    Column("first_step", BigInteger),
    UniqueConstraint("attempt", "path_digest", name="uq_log_positions_path"),
    Index("ix_log_positions_path", "path_digest"),
)

leases = _table(
    "leases",
    Column("name", Name(32), primary_key=True),
    Column("holder", Name(64), nullable=False),
    Column("host", Name(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("acquired_at", UtcTime, nullable=False),
    Column("renewed_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)

loki_cursors = _table(
    "loki_cursors",
    Column("name", Name(64), primary_key=True),
    Column("ns", BigInteger, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

#: What people have asked for; the leader carries it out and says what became of it.
requests = _table(
    "requests",
    _id(),
    _ref("job", "jobs"),
    Column("verb", Name(16), nullable=False),
    Column("by", Name(64), nullable=False),
    Column("reason", Words, nullable=False),
    Column("state", Name(16), nullable=False),
    Column("result", Words, nullable=False, default=""),
    Column("asked_at", UtcTime, nullable=False),
    Column("done_at", UtcTime),
    Index("ix_requests_state", "state", "id"),
    Index("ix_requests_job", "job", "id"),
)

node_suspicions = _table(
    "node_suspicions",
    _id(),
    _ref("attempt", "attempts"),
    Column("node", Name(255), nullable=False),
    Column("kind", Name(32), nullable=False),
    Column("cause", Name(64), nullable=False),
    Column("excluded", Boolean, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("verdict", Name(32), nullable=False, default="", server_default=text("''")),
    Column("verdict_at", UtcTime),
    UniqueConstraint("attempt", "node", name="uq_node_suspicions"),
    Index("ix_node_suspicions_node", "node", "at"),
    Index("ix_node_suspicions_at", "at"),
    Index("ix_node_suspicions_verdict", "verdict_at"),
)

#: What was done about a suspected node: see :mod:`ajrd.hardware.handoff`.
node_handoffs = _table(
    "node_handoffs",
    _id(),
    _ref("suspicion", "node_suspicions", unique=True),
    Column("drain", Name(16), nullable=False),
    Column("drain_note", Words, nullable=False),
    Column("report", Name(16), nullable=False),
    Column("report_note", Words, nullable=False),
    Column("reference", Name(255), nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

#: How far a reader of the audit trail has come: the number of an event.
cursors = _table(
    "cursors",
    Column("name", Name(64), primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

#: One row an attempt, with all that a report may want: its reader may see no other table.
job_efficiency_records = _table(
    "job_efficiency_records",
    _id(),
    _ref("attempt", "attempts", unique=True),
    Column("cluster", Name(64), nullable=False),
    Column("job_id", Name(64), nullable=False),
    Column("job_name", Name(255), nullable=False),
    Column("user", Name(64), nullable=False),
    Column("partition", Name(64), nullable=False),
    Column("attempt_idx", Integer, nullable=False),
    Column("state", Name(32), nullable=False),
    Column("kind", Name(32), nullable=False),
    Column("cause", Name(64), nullable=False),
    Column("outcome", Name(64), nullable=False),
    Column("recovered", Boolean, nullable=False),
    Column("node_count", Integer, nullable=False),
    Column("gpus", Integer, nullable=False),
    Column("submitted_at", UtcTime, nullable=False),
    Column("eligible_at", UtcTime),
    Column("started_at", UtcTime, nullable=False),
    Column("failed_at", UtcTime),
    Column("ended_at", UtcTime),
    *(
        Column(f"{name}_seconds", Double)
        for name in (
            "queued", "starting", "productive", "lost", "detection", "kill", "requeue_wait",
            "restart", "automatic_downtime", "manual_downtime", "manual_baseline", "saved",
        )
    ),
    Column("allocated_gpu_hours", Double, nullable=False),
    Column("goodput_gpu_hours", Double, nullable=False),
    Column("complete", Boolean, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("ix_efficiency_started", "started_at"),
    Index("ix_efficiency_ended", "ended_at"),
    Index("ix_efficiency_job", "cluster", "job_id"),
    Index("ix_efficiency_user", "user", "started_at"),
)  # fmt: skip
