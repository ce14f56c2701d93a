"""Run by Alembic: apply migrations on the connection that `explorer.store.migrate` hands over."""

from alembic import context

from explorer.store.schema import metadata

# The caller holds the write lock and the transaction; Alembic must neither begin nor commit.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
