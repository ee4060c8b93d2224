"""Lines that came by Loki: whose twin in a file an anomaly is, and how far Loki was read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0003"
down_revision = "0002"

_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """Adds what is not there yet."""
    look = sa.inspect(op.get_bind())
    if "twin" not in {column["name"] for column in look.get_columns("anomalies")}:
        op.add_column("anomalies", sa.Column("twin", sa.String(64)))
    if "uq_anomalies_twin" not in {index["name"] for index in look.get_indexes("anomalies")}:
        op.create_index("uq_anomalies_twin", "anomalies", ["attempt", "twin"], unique=True)
    op.create_table(
        "loki_cursors",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("ns", sa.BigInteger, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        if_not_exists=True,
    )
