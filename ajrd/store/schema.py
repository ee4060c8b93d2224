"""The tables of the store.

One row of ``jobs`` is one submission, of ``attempts`` one execution of it; ``decisions`` has at
most one row an attempt, ``actions`` one a Slurm command of a decision.

Written in SQLAlchemy Core so that SQLite and MySQL share it. Times are UTC with microseconds.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.dialects import mysql

SCHEMA_VERSION = 1


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


metadata = MetaData()
_Id = BigInteger().with_variant(Integer, "sqlite")


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


schema_info = Table(
    "schema_info",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("created_at", UtcTime, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    _id(),
    Column("cluster", String(64), nullable=False),
    Column("job_id", String(64), nullable=False),
    Column("raw_id", BigInteger, nullable=False),
    Column("first_submit_time", UtcTime, nullable=False),
    Column("submit_time", UtcTime, nullable=False),
    Column("name", String(255), nullable=False),
    Column("user", String(64), nullable=False),
    Column("uid", BigInteger, nullable=False),
    Column("partition", String(64), nullable=False),
    Column("comment", Text, nullable=False),
    Column("managed", Boolean, nullable=False),
    Column("note", Text, nullable=False),
    Column("restarts", Integer, nullable=False),
    Column("restarts_before", Integer, nullable=False),
    Column("state", String(32), nullable=False),
    Column("reason", String(255), nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    UniqueConstraint("cluster", "job_id", "first_submit_time", name="uq_jobs_identity"),
    Index("ix_jobs_closed", "cluster", "closed"),
)

attempts = Table(
    "attempts",
    metadata,
    _id(),
    _ref("job", "jobs"),
    Column("idx", Integer, nullable=False),
    Column("state", String(32), nullable=False),
    Column("nodes", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("exit_code", Integer, nullable=False, default=0),
    Column("signal", Integer, nullable=False, default=0),
    Column("log_note", Text, nullable=False, default=""),
    UniqueConstraint("job", "idx", name="uq_attempts_idx"),
)

anomalies = Table(
    "anomalies",
    metadata,
    _id(),
    _ref("attempt", "attempts"),
    Column("rule", String(128), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("cause", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("recovery", String(32), nullable=False),
    Column("source", Text, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("line_no", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
    Column("before", JSON, nullable=False),
    Column("after", JSON, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("detected_at", UtcTime, nullable=False),
    Column("digest", String(64), nullable=False),
    UniqueConstraint("attempt", "digest", name="uq_anomalies_line"),
)

decisions = Table(
    "decisions",
    metadata,
    _id(),
    _ref("attempt", "attempts", unique=True),
    _ref("anomaly", "anomalies", null=True),
    Column("verb", String(16), nullable=False),
    Column("branch", String(32), nullable=False),
    Column("reason", Text, nullable=False),
    Column("exclude_nodes", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("outcome", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("hold_deadline", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("closed_at", UtcTime),
    Index("ix_decisions_state", "state"),
)

actions = Table(
    "actions",
    metadata,
    _id(),
    _ref("decision", "decisions"),
    Column("step", String(32), nullable=False),
    Column("key", String(191), nullable=False, unique=True),
    Column("target", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("result", Text, nullable=False),
    Column("intended_at", UtcTime, nullable=False),
    Column("claimed_at", UtcTime),
    Column("finished_at", UtcTime),
)

events = Table(
    "events",
    metadata,
    _id(),
    Column("at", UtcTime, nullable=False),
    _ref("job", "jobs", null=True),
    Column("attempt_idx", Integer),
    Column("event", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_events_job", "job", "id"),
)

log_positions = Table(
    "log_positions",
    metadata,
    _id(),
    _ref("attempt", "attempts"),
    Column("path", Text, nullable=False),
    Column("path_digest", String(64), nullable=False),
    Column("device", BigInteger, nullable=False),
    Column("inode", BigInteger, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("line_no", BigInteger, nullable=False),
    Column("tail", String(64), nullable=False),
    Column("progress_offset", BigInteger),
    Column("progress_at", UtcTime),
    Column("progress_text", Text),
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("attempt", "path_digest", name="uq_log_positions_path"),
    Index("ix_log_positions_path", "path_digest"),
)
