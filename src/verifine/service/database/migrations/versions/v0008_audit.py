"""What was done, and by whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("act", sa.String(32), nullable=False),
        sa.Column("owner_id", sa.String(64)),
        sa.Column("key_id", sa.String(64)),
        sa.Column("object_id", sa.String(400)),
        sa.Column("request_id", sa.String(64)),
        sa.Column("status", sa.Integer),
        sa.PrimaryKeyConstraint("seq", name="pk_audit"),
        sa.UniqueConstraint("id", name="uq_audit_id"),
    )


def downgrade() -> None:
    op.drop_table("audit")
