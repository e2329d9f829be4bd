"""`AppendOnlyOp(table)`: the database itself refuses to change or delete rows of a table.

A table asks for it with ``Table(..., info={"append_only": True})``; a generated migration then holds the call.
"""

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation, Operations
from sqlalchemy import Connection

__all__ = ["AppendOnlyOp", "make_append_only"]


def make_append_only(connection: Connection, table: str) -> None:
    """Install the triggers that refuse UPDATE and DELETE on `table`; no harm if they are there."""
    message = f"{table} is append-only"
    if connection.dialect.name == "sqlite":
        statements = [
            f"CREATE TRIGGER IF NOT EXISTS {table}_refuses_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    else:
        function = (
            "CREATE OR REPLACE FUNCTION mosaic_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only', "
            "ERRCODE = 'integrity_constraint_violation'; END $$"
        )
        trigger = (
            f"CREATE OR REPLACE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION mosaic_append_only()"
        )
        statements = [function, trigger]
    for statement in statements:
        connection.exec_driver_sql(statement)


class AppendOnlyOp(MigrateOperation):
    """Make a table append-only; dropping the table undoes it."""

    def __init__(self, table: str) -> None:
        self.table = table

    def reverse(self) -> MigrateOperation:
        return self


@Operations.implementation_for(AppendOnlyOp)
def _append_only(operations: Operations, operation: AppendOnlyOp) -> None:
    make_append_only(operations.get_bind(), operation.table)


@renderers.dispatch_for(AppendOnlyOp)
def _render(context: AutogenContext, operation: AppendOnlyOp) -> str:
    context.imports.add(f"from {__name__} import AppendOnlyOp")
    return f"op.invoke(AppendOnlyOp({operation.table!r}))"
