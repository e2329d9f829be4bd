"""Alembic runs this for every command; the connection comes from `configuration`."""

from typing import Any, Literal

import sqlalchemy
from alembic import context
from alembic.autogenerate.api import AutogenContext

from mosaic.storage.columns import UtcDateTime, metadata


def render_item(kind: str, item: Any, autogen: AutogenContext) -> str | Literal[False]:
    if kind == "type" and isinstance(item, UtcDateTime):
        autogen.imports.add("from mosaic.storage.columns import UtcDateTime")
        return "UtcDateTime()"
    if kind == "type" and isinstance(item, sqlalchemy.JSON):
        if "postgresql" in item._variant_mapping:  # noqa: SLF001  # SQLAlchemy has no public way to ask
            autogen.imports.add("from sqlalchemy.dialects import postgresql")
            return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
        return "sa.JSON()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=render_item,
    compare_type=True,
)
context.run_migrations()
