"""Migrations of the ledger, run by `explorer.store.migrate` through Alembic."""
