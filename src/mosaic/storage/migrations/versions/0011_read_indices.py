"""what SQLite has to know to use the index of a run's events.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# As ANALYZE would write it for a journal of a million events, a hundred to a run. Without it SQLite takes a tenant for ten
# rows, and goes through the whole journal of the tenant for the events of a run. PostgreSQL gathers such figures itself.
_FIGURES = (
    ("event", "event", "1000000 1000000 1"),
    ("event", "ix_event_tenant_id_run_id_seq", "1000000 1000000 100 1"),
)


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("ANALYZE sqlite_schema")  # makes the table of figures, and looks at nothing else
    figures = sa.table("sqlite_stat1", sa.column("tbl"), sa.column("idx"), sa.column("stat"))
    op.execute(sa.delete(figures).where(figures.c.tbl == "event"))
    op.bulk_insert(figures, [{"tbl": table, "idx": index, "stat": stat} for table, index, stat in _FIGURES])


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1 WHERE tbl = 'event'")
