"""Rows of plans and work items; they never leave this room."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from mosaic.storage import ExactJson, Json, UtcDateTime, metadata

__all__ = [
    "plan",
    "plan_change",
    "plan_follower",
    "plan_links",
    "work_dependency",
    "work_item",
    "work_item_run",
]

plan = Table(
    "plan",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("name", String(300), nullable=False),
    Column("description", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("last_child", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("ix_plan_tenant_created", "tenant_id", "created_at"),
)

work_item = Table(
    "work_item",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("plan_id", String(64), nullable=False),
    Column("parent_id", String(64)),
    Column("kind", String(16), nullable=False),
    Column("number", Integer, nullable=False),
    Column("key", String(32), nullable=False),
    Column("title", String(300), nullable=False),
    Column("description", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("reason", Text),
    Column("priority", Integer, nullable=False),
    Column("phase", String(200)),
    Column("target_version", String(200)),
    Column("estimate_hours", Float),
    Column("estimate_tokens", BigInteger),
    Column("estimate_nanos", BigInteger),
    Column("assignee", String(200)),
    Column("labels", Json, nullable=False),
    Column("acceptance", Json, nullable=False),
    Column("brief", Json, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("last_child", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("uq_work_item_plan_key", "tenant_id", "plan_id", "key", unique=True),
)

# The plans stand here too, so that the plans that hang together are found without reading their items.
work_dependency = Table(
    "work_dependency",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("item_id", String(64), nullable=False),
    Column("depends_on_id", String(64), nullable=False),
    Column("plan_id", String(64), nullable=False),
    Column("depends_on_plan_id", String(64), nullable=False),
    # The order in which they were named, for people.
    Column("place", Integer, nullable=False),
    PrimaryKeyConstraint("tenant_id", "item_id", "depends_on_id"),
    Index("ix_work_dependency_plan", "tenant_id", "plan_id"),
    Index("ix_work_dependency_on_plan", "tenant_id", "depends_on_plan_id"),
)

plan_change = Table(
    "plan_change",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("plan_id", String(64), nullable=False),
    Column("base_version", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("diff", ExactJson, nullable=False),
    Column("consequences", ExactJson, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("undoes", String(64)),
    Column("undone_by", String(64)),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("uq_plan_change_version", "tenant_id", "plan_id", "version", unique=True),
)

# A run works on one item; an item may have had many runs.
work_item_run = Table(
    "work_item_run",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("plan_id", String(64), nullable=False),
    Column("item_id", String(64), nullable=False),
    Column("workflow", String(200), nullable=False),
    Column("status", String(16), nullable=False),
    # What the item's status was, for a start that fails.
    Column("before", String(16), nullable=False),
    Column("seconds", Float, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("nanos", BigInteger, nullable=False),
    Column("approvals", Json, nullable=False),
    Column("linked_at", UtcDateTime, nullable=False),
    Column("linked_by", String(200), nullable=False),
    Column("started_at", UtcDateTime),
    Column("finished_at", UtcDateTime),
    PrimaryKeyConstraint("tenant_id", "run_id"),
    Index("ix_work_item_run_plan", "tenant_id", "plan_id"),
)

# How far the journal was read for what runs mean to their items.
plan_follower = Table(
    "plan_follower",
    metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("seq", BigInteger, nullable=False),
)

# Its row is held by whoever changes what waits for what, so that two changes cannot close a circle together.
plan_links = Table(
    "plan_links",
    metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("revision", BigInteger, nullable=False),
)
