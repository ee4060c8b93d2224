"""What Alembic runs for every command: the connection is given by :mod:`ajrd.store.migrate`."""

from __future__ import annotations

from alembic import context

from ajrd.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_server_default=False,
)
with context.begin_transaction():
    context.run_migrations()
