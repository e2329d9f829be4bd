"""idempotency keys, and indices for the lists of the API.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

from mosaic.storage.columns import UtcDateTime

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "idempotency_key",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("fingerprint", sa.String(length=80), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("headers", sa.Text(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "digest", name=op.f("pk_idempotency_key")),
    )
    with op.batch_alter_table("idempotency_key", schema=None) as batch_op:
        batch_op.create_index("ix_idempotency_key_expires", ["expires_at"], unique=False)
    # Filtered lists of runs begin at the newest of what is asked for; all approvals are listed by time.
    op.create_index("ix_run_tenant_status", "run", ["tenant_id", "status", "created_at"])
    op.create_index("ix_run_tenant_workflow", "run", ["tenant_id", "workflow", "created_at"])
    op.create_index("ix_approval_tenant_requested", "approval", ["tenant_id", "requested_at", "id"])


def downgrade() -> None:
    op.drop_index("ix_approval_tenant_requested", table_name="approval")
    op.drop_index("ix_run_tenant_workflow", table_name="run")
    op.drop_index("ix_run_tenant_status", table_name="run")
    op.drop_table("idempotency_key")
