"""Run by Alembic: within the transaction that `migrate` has begun."""

from __future__ import annotations

from alembic import context

from verifine.service.database.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,  # SQLite changes a table by copying it
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
