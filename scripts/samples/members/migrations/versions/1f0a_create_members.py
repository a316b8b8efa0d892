"""create members

Revision ID: 1f0a
"""

import sqlalchemy as sa
from alembic import op

revision = "1f0a"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "members",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("email", sa.String(length=200), nullable=False, unique=True),
        sa.Column("joined", sa.Date(), nullable=False),
    )
    op.create_index("ix_members_name", "members", ["name"])


def downgrade() -> None:
    op.drop_table("members")
