"""What reports and pages need: requests of people, suspected nodes, efficiency, sizes of attempts.

MySQL commits each change of a table by itself: what a broken-off upgrade has done is left out.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"

_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_WORDS = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_ZERO = sa.text("0")
_INDEXES = {
    "jobs": {"ix_jobs_state": ["state", "id"], "ix_jobs_workflow": ["user", "name", "id"]},
    "attempts": {"ix_attempts_started": ["started_at"]},
    "anomalies": {
        "ix_anomalies_kind": ["kind", "id"],
        "ix_anomalies_cause": ["cause", "id"],
        "ix_anomalies_detected": ["detected_at"],
    },
    "requests": {"ix_requests_state": ["state", "id"], "ix_requests_job": ["job", "id"]},
    "node_suspicions": {
        "ix_node_suspicions_node": ["node", "at"],
        "ix_node_suspicions_at": ["at"],
    },
    "job_efficiency_records": {
        "ix_efficiency_started": ["started_at"],
        "ix_efficiency_ended": ["ended_at"],
        "ix_efficiency_job": ["cluster", "job_id"],
        "ix_efficiency_user": ["user", "started_at"],
    },
}
_SECONDS = (
    "queued", "starting", "productive", "lost", "detection", "kill", "requeue_wait", "restart",
    "automatic_downtime", "manual_downtime", "manual_baseline", "saved",
)  # fmt: skip


def upgrade() -> None:
    """Adds what is not there yet."""
    for table, columns in _new_columns().items():
        there = {column["name"] for column in _look().get_columns(table)}
        for column in columns:
            if column.name not in there:
                op.add_column(table, column)
    _requests()
    _suspicions()
    _efficiency()
    for table, indexes in _INDEXES.items():
        names = {index["name"] for index in _look().get_indexes(table)}
        for name, on in indexes.items():
            if name not in names:
                op.create_index(name, table, on)


def _look() -> sa.Inspector:
    return sa.inspect(op.get_bind())


def _new_columns() -> dict[str, list[sa.Column[Any]]]:
    def number(name: str) -> sa.Column[Any]:
        return sa.Column(name, sa.Integer, nullable=False, server_default=_ZERO)

    return {
        "jobs": [sa.Column("paused", sa.Boolean, nullable=False, server_default=_ZERO)],
        "attempts": [
            sa.Column("eligible_at", _TIME),
            *map(number, ("node_count", "cpus", "gpus")),
        ],
        "log_positions": [
            sa.Column("first_progress_at", _TIME),
            sa.Column("first_step", sa.BigInteger),
        ],
    }


def _table(name: str, *parts: Any) -> None:
    op.create_table(
        name,
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        *parts,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        if_not_exists=True,
    )


def _ref(name: str, target: str, *, unique: bool = False) -> sa.Column[Any]:
    key = sa.ForeignKey(f"{target}.id", ondelete="CASCADE")
    return sa.Column(name, _ID, key, unique=unique, nullable=False)


def _text(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), nullable=False)


def _requests() -> None:
    _table(
        "requests",
        _ref("job", "jobs"),
        _text("verb", 16),
        _text("by", 64),
        sa.Column("reason", _WORDS, nullable=False),
        _text("state", 16),
        sa.Column("result", _WORDS, nullable=False),
        sa.Column("asked_at", _TIME, nullable=False),
        sa.Column("done_at", _TIME),
    )


def _suspicions() -> None:
    _table(
        "node_suspicions",
        _ref("attempt", "attempts"),
        _text("node", 255),
        _text("kind", 32),
        _text("cause", 64),
        sa.Column("excluded", sa.Boolean, nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("verdict", sa.String(32), nullable=False, server_default=sa.text("''")),
        sa.Column("verdict_at", _TIME),
        sa.UniqueConstraint("attempt", "node", name="uq_node_suspicions"),
    )


def _efficiency() -> None:
    texts = {
        "cluster": 64, "job_id": 64, "job_name": 255, "user": 64, "partition": 64, "state": 32,
        "kind": 32, "cause": 64, "outcome": 64,
    }  # fmt: skip
    _table(
        "job_efficiency_records",
        _ref("attempt", "attempts", unique=True),
        *(_text(name, length) for name, length in texts.items()),
        *(
            sa.Column(name, sa.Integer, nullable=False)
            for name in ("attempt_idx", "node_count", "gpus")
        ),
        *(
            sa.Column(name, sa.Boolean, nullable=False)
            for name in ("recovered", "complete")
        ),
        *(
            sa.Column(name, _TIME, nullable=name in ("eligible_at", "failed_at", "ended_at"))
            for name in (
                "submitted_at", "eligible_at", "started_at", "failed_at", "ended_at", "updated_at"
            )
        ),
        *(sa.Column(f"{name}_seconds", sa.Double) for name in _SECONDS),
        *(
            sa.Column(f"{name}_gpu_hours", sa.Double, nullable=False)
            for name in ("allocated", "goodput")
        ),
    )  # fmt: skip
