"""What leaves ajrd: suspected nodes that are handed off, and how far webhooks have come.

MySQL commits each change of a table by itself: what a broken-off upgrade has done is left out.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"

_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_WORDS = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Adds what is not there yet."""
    look = sa.inspect(op.get_bind())
    names = {index["name"] for index in look.get_indexes("node_suspicions")}
    if "ix_node_suspicions_verdict" not in names:
        op.create_index("ix_node_suspicions_verdict", "node_suspicions", ["verdict_at"])
    key = sa.ForeignKey("node_suspicions.id", ondelete="CASCADE")
    _table(
        "node_handoffs",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("suspicion", _ID, key, unique=True, nullable=False),
        sa.Column("drain", sa.String(16), nullable=False),
        sa.Column("drain_note", _WORDS, nullable=False),
        sa.Column("report", sa.String(16), nullable=False),
        sa.Column("report_note", _WORDS, nullable=False),
        sa.Column("reference", sa.String(255), nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
    )
    _table(
        "cursors",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
    )


def _table(name: str, *parts: Any) -> None:
    op.create_table(
        name,
        *parts,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        if_not_exists=True,
    )
