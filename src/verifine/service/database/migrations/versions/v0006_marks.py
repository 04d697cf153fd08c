"""What people think of answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "marks",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner_id", sa.String(64), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("group_index", sa.Integer, nullable=False),
        sa.Column("sample", sa.Integer, nullable=False),
        sa.Column("is_flagged", sa.Boolean, nullable=False),
        sa.Column("note", sa.JSON, nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_marks"),
        sa.ForeignKeyConstraint(["owner_id"], ["owners.id"], name="fk_marks_owner_id"),
        sa.UniqueConstraint("owner_id", "seq", name="uq_marks_owner_id_seq"),
        sa.UniqueConstraint(
            "owner_id",
            "run_id",
            "step",
            "group_index",
            "sample",
            name="uq_marks_owner_id_run_id_step_group_index_sample",
        ),
    )


def downgrade() -> None:
    op.drop_table("marks")
