"""Rows of approvals, votes and webhooks; they never leave this room."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    false,
)

from mosaic.storage import ExactJson, Json, UtcDateTime, metadata

approval = Table(
    "approval",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("path", String(1000), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("detail", ExactJson, nullable=False),
    Column("roles", Json, nullable=False),
    Column("status", String(16), nullable=False),
    Column("requested_by", String(200), nullable=False),
    Column("requested_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("on_timeout", String(16), nullable=False),
    Column("quorum", Integer, nullable=False, server_default="1"),
    Column("counting", String(16), nullable=False, server_default="veto"),
    Column("four_eyes", Boolean, nullable=False, server_default=false()),
    # What was asked about, secrets masked: what an edit starts from and a lasting yes is measured against.
    Column("asked_arguments", ExactJson),
    Column("arguments_schema", ExactJson),
    Column("arguments", ExactJson),
    Column("answer", ExactJson),
    Column("scope", String(16), nullable=False, server_default="once"),
    Column("pattern", ExactJson),
    Column("rule", String(64)),
    Column("decided_by", String(200)),
    Column("decided_at", UtcDateTime),
    Column("note", Text),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("ix_approval_tenant_status", "tenant_id", "status", "requested_at"),
    Index("ix_approval_tenant_run", "tenant_id", "run_id"),
    Index("ix_approval_tenant_requested", "tenant_id", "requested_at", "id"),
)

approval_vote = Table(
    "approval_vote",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("approval_id", String(64), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("approve", Boolean, nullable=False),
    Column("voted_at", UtcDateTime, nullable=False),
    Column("note", Text),
    Column("arguments", ExactJson),
    Column("answer", ExactJson),
    Column("scope", String(16), nullable=False),
    Column("pattern", ExactJson),
    PrimaryKeyConstraint("tenant_id", "approval_id", "actor"),
)

# How far each webhook has been told of the journal.
webhook_cursor = Table(
    "webhook_cursor",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("webhook", String(64), nullable=False),
    Column("seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant_id", "webhook"),
)

# What is to be told, until it is: one row for each event and webhook.
webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("webhook", String(64), nullable=False),
    Column("event_id", String(64), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at", UtcDateTime, nullable=False),
    Column("error", Text),
    PrimaryKeyConstraint("tenant_id", "webhook", "event_id"),
    Index("ix_webhook_delivery_due", "tenant_id", "status", "next_at"),
)

# Signed messages that were taken: a second one of the same id is a replay.
webhook_receipt = Table(
    "webhook_receipt",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("webhook", String(64), nullable=False),
    Column("message_id", String(200), nullable=False),
    Column("received_at", UtcDateTime, nullable=False),
    PrimaryKeyConstraint("tenant_id", "webhook", "message_id"),
)

# A yes that lasts: calls that it holds for pass without asking, until it is revoked.
tool_rule = Table(
    "tool_rule",
    metadata,
    Column("tenant_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("tool", String(200), nullable=False),
    Column("arguments", ExactJson),
    Column("scope", String(16), nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("approval_id", String(64), nullable=False),
    # Who had to answer: the rule holds only for questions that they may answer.
    Column("roles", Json, nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("revoked_at", UtcDateTime),
    Column("revoked_by", String(200)),
    PrimaryKeyConstraint("tenant_id", "id"),
    Index("ix_tool_rule_tool", "tenant_id", "tool"),
)

# Every policy that was in force; its files are in the blob of this name. An installation's, not a tenant's.
policy_version = Table(
    "policy_version",
    metadata,
    Column("version", String(71), primary_key=True),
    Column("files", Json, nullable=False),
    Column("rules", Integer, nullable=False),
    Column("first_used_at", UtcDateTime, nullable=False),
)
