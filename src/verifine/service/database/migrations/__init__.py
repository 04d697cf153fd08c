"""Alembic's environment and the steps from one set of tables to the next."""
