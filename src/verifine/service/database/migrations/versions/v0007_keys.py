"""Keys of owners."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("scopes", sa.JSON, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("last_used_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("parent_id", sa.String(64)),
        sa.Column("is_session", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name="fk_keys_owner_id"),
        sa.ForeignKeyConstraint(["parent_id"], ["keys.id"], name="fk_keys_parent_id"),
    )
    op.create_index("ix_keys_owner_id", "keys", ["owner_id"])
    op.create_index("ix_keys_parent_id", "keys", ["parent_id"])


def downgrade() -> None:
    op.drop_table("keys")
