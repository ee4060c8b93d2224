"""The first tables, as ajrd made them before it had migrations (``schema_info`` version 1)."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0001"
down_revision = None

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    """Makes them; what a broken-off try has made already stays."""
    _table("schema_info", _must("version", sa.Integer, primary_key=True, autoincrement=False),
           _must("created_at", _TIME))  # fmt: skip
    _table("jobs", *_job_columns(),
           sa.UniqueConstraint("cluster", "job_id", "first_submit_time", name="uq_jobs_identity"),
           sa.Index("ix_jobs_closed", "cluster", "closed"))  # fmt: skip
    _table("attempts", *_attempt_columns(),
           sa.UniqueConstraint("job", "idx", name="uq_attempts_idx"))  # fmt: skip
    _table("anomalies", *_anomaly_columns(),
           sa.UniqueConstraint("attempt", "digest", name="uq_anomalies_line"))  # fmt: skip
    _table("decisions", *_decision_columns(), sa.Index("ix_decisions_state", "state"))
    _table("actions", *_action_columns())
    _table("events", *_event_columns(), sa.Index("ix_events_job", "job", "id"))
    _table("log_positions", *_position_columns(),
           sa.UniqueConstraint("attempt", "path_digest", name="uq_log_positions_path"),
           sa.Index("ix_log_positions_path", "path_digest"))  # fmt: skip


def _table(name: str, *parts: sa.schema.SchemaItem) -> None:
    op.create_table(
        name,
        *parts,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        if_not_exists=True,
    )


def _must(name: str, kind: Any, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **options)


def _ref(name: str, target: str, *, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    foreign = sa.ForeignKey(f"{target}.id", ondelete="CASCADE")
    return sa.Column(name, _ID, foreign, nullable=nullable, **options)


def _id() -> sa.Column[Any]:
    return _must("id", _ID, primary_key=True, autoincrement=True)


def _job_columns() -> list[sa.Column[Any]]:
    return [
        _id(),
        _must("cluster", sa.String(64)),
        _must("job_id", sa.String(64)),
        _must("raw_id", sa.BigInteger),
        _must("first_submit_time", _TIME),
        _must("submit_time", _TIME),
        _must("name", sa.String(255)),
        _must("user", sa.String(64)),
        _must("uid", sa.BigInteger),
        _must("partition", sa.String(64)),
        _must("comment", _TEXT),
        _must("managed", sa.Boolean),
        _must("note", _TEXT),
        _must("restarts", sa.Integer),
        _must("restarts_before", sa.Integer),
        _must("state", sa.String(32)),
        _must("reason", sa.String(255)),
        _must("closed", sa.Boolean),
        _must("seen_at", _TIME),
    ]


def _attempt_columns() -> list[sa.Column[Any]]:
    return [
        _id(),
        _ref("job", "jobs"),
        _must("idx", sa.Integer),
        _must("state", sa.String(32)),
        _must("nodes", _TEXT),
        _must("started_at", _TIME),
        sa.Column("ended_at", _TIME),
        _must("exit_code", sa.Integer),
        _must("signal", sa.Integer),
        _must("log_note", _TEXT),
    ]


def _anomaly_columns() -> list[sa.Column[Any]]:
    return [
        _id(),
        _ref("attempt", "attempts"),
        _must("rule", sa.String(128)),
        _must("kind", sa.String(32)),
        _must("cause", sa.String(64)),
        _must("role", sa.String(16)),
        _must("recovery", sa.String(32)),
        _must("source", _TEXT),
        _must("offset", sa.BigInteger),
        _must("line_no", sa.BigInteger),
        _must("text", _TEXT),
        _must("before", sa.JSON),
        _must("after", sa.JSON),
        _must("facts", sa.JSON),
        _must("detected_at", _TIME),
        _must("digest", sa.String(64)),
    ]


def _decision_columns() -> list[sa.Column[Any]]:
    return [
        _id(),
        _ref("attempt", "attempts", unique=True),
        _ref("anomaly", "anomalies", nullable=True),
        _must("verb", sa.String(16)),
        _must("branch", sa.String(32)),
        _must("reason", _TEXT),
        _must("exclude_nodes", _TEXT),
        _must("state", sa.String(16)),
        _must("outcome", sa.String(64)),
        _must("detail", _TEXT),
        sa.Column("hold_deadline", _TIME),
        _must("created_at", _TIME),
        sa.Column("closed_at", _TIME),
    ]


def _action_columns() -> list[sa.Column[Any]]:
    return [
        _id(),
        _ref("decision", "decisions"),
        _must("step", sa.String(32)),
        _must("key", sa.String(191), unique=True),
        _must("target", sa.String(64)),
        _must("state", sa.String(16)),
        _must("tries", sa.Integer),
        _must("result", _TEXT),
        _must("intended_at", _TIME),
        sa.Column("claimed_at", _TIME),
        sa.Column("finished_at", _TIME),
    ]


def _event_columns() -> list[sa.Column[Any]]:
    return [
        _id(),
        _must("at", _TIME),
        _ref("job", "jobs", nullable=True),
        sa.Column("attempt_idx", sa.Integer),
        _must("event", sa.String(64)),
        _must("message", _TEXT),
    ]


def _position_columns() -> list[sa.Column[Any]]:
    return [
        _id(),
        _ref("attempt", "attempts"),
        _must("path", _TEXT),
        _must("path_digest", sa.String(64)),
        _must("device", sa.BigInteger),
        _must("inode", sa.BigInteger),
        _must("offset", sa.BigInteger),
        _must("line_no", sa.BigInteger),
        _must("tail", sa.String(64)),
        sa.Column("progress_offset", sa.BigInteger),
        sa.Column("progress_at", _TIME),
        sa.Column("progress_text", _TEXT),
        _must("updated_at", _TIME),
    ]
