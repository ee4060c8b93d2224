"""Leases and epochs, causes and steps for "the same again", indexes for every query.

MySQL commits each change of a table by itself: what a broken-off upgrade has done is left out.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"

_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_ZERO = sa.text("0")
_INDEXES = {
    "jobs": {
        "ix_jobs_job_id": ["job_id", "first_submit_time"],
        "ix_jobs_user": ["user", "id"],
        "ix_jobs_partition": ["partition", "id"],
        "ix_jobs_seen": ["closed", "seen_at"],
    },
    "decisions": {"ix_decisions_anomaly": ["anomaly"]},
    "actions": {"ix_actions_decision": ["decision"]},
    "events": {"ix_events_at": ["at"]},
}


def upgrade() -> None:
    """Adds what is not there yet; ``schema_info`` goes, Alembic's own table takes its place."""
    _leases()
    for table, columns in _new_columns().items():
        there = {column["name"] for column in _look().get_columns(table)}
        for column in columns:
            if column.name not in there:
                op.add_column(table, column)
    for table, indexes in _INDEXES.items():
        names = {index["name"] for index in _look().get_indexes(table)}
        for name, on in indexes.items():
            if name not in names:
                op.create_index(name, table, on)
    op.drop_table("schema_info", if_exists=True)


def _look() -> sa.Inspector:
    return sa.inspect(op.get_bind())


def _new_columns() -> dict[str, list[sa.Column[Any]]]:
    return {
        "decisions": [
            sa.Column("used", sa.Integer, nullable=False, server_default=_ZERO),
            sa.Column("start_delay", sa.Double, nullable=False, server_default=_ZERO),
            sa.Column("epoch", sa.BigInteger, nullable=False, server_default=_ZERO),
            sa.Column("degraded", sa.Boolean, nullable=False, server_default=_ZERO),
            sa.Column("cause", sa.String(64), nullable=False, server_default=sa.text("''")),
        ],
        "actions": [sa.Column("epoch", sa.BigInteger, nullable=False, server_default=_ZERO)],
        "log_positions": [sa.Column("progress_step", sa.BigInteger)],
    }


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("acquired_at", _TIME, nullable=False),
        sa.Column("renewed_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        if_not_exists=True,
    )
