"""The migrations make exactly the tables that the rooms declare, from any state, once."""

import asyncio
import shutil
from pathlib import Path

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from mosaic.core.errors import Conflict
from mosaic.storage import Database, Refused, StorageSettings, metadata
from mosaic.storage.migrations import VERSIONS, autogenerate, upgrade

pytestmark = pytest.mark.anyio


@pytest.fixture
async def empty(empty_database_url: str, tmp_path: Path) -> Database:
    return Database(StorageSettings(empty_database_url, tmp_path / "data"))


async def test_an_empty_database_becomes_what_the_rooms_declare(empty: Database) -> None:
    rooms = autogenerate.import_models()
    assert "events" in rooms
    assert await empty.schema_version() is None
    await empty.migrate()
    assert await empty.schema_version() is not None

    engine = empty.sync_engine()
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, metadata)
    engine.dispose()
    await empty.close()
    assert differences == [], "run: python -m mosaic.storage.migrations.autogenerate '<what changed>'"


async def test_migrating_twice_and_at_once_is_the_same_as_once(empty: Database, tmp_path: Path) -> None:
    second = Database(empty.settings)
    async with asyncio.timeout(60):
        await asyncio.gather(empty.migrate(), second.migrate())
        await empty.migrate()
    assert await empty.schema_version() == await second.schema_version()
    await empty.close()
    await second.close()


@pytest.mark.requirement("STK-104")
async def test_a_database_of_a_newer_version_is_left_alone(database: Database) -> None:
    async with database.transaction() as tx:
        await tx.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="newer version") as refused:
        await database.migrate()
    assert "Upgrade" in str(refused.value.hint)
    assert await database.schema_version() == "9999"


@pytest.mark.requirement("MOZ-125")
async def test_every_table_is_scoped_by_tenant_or_says_why_not() -> None:
    autogenerate.import_models()
    # Belong to the installation, not to a tenant.
    shared = {
        "blob",
        "bus_notice",
        "cost_revision",
        "executor",
        "key_revision",
        "policy_version",
        "spend_holder",
        "tool_revision",
    }
    unscoped = {
        table.name
        for table in metadata.tables.values()
        if table.name not in shared
        and next(iter(table.primary_key.columns)).name != "tenant_id"
        and not any(next(iter(index.columns)).name == "tenant_id" for index in table.indexes)
    }
    assert unscoped == set()


@pytest.mark.requirement("MAOS-19", "ENT-14", "STK-49", "MOZ-40")
@pytest.mark.parametrize("statement", ["UPDATE event SET type = 'forged'", "DELETE FROM event"])
async def test_the_database_itself_refuses_to_change_the_journal(database: Database, statement: str) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            text(
                "INSERT INTO event (tenant_id, seq, id, type, schema_version, occurred_at, project_id, actor, data) "
                "VALUES ('t1', 1, 'evt_1', 'a.b', 1, '2026-01-01T00:00:00.000000Z', 'p1', 'user:u1', '{}')"
            )
        )
    with pytest.raises(Refused, match="event is append-only"):
        async with database.transaction() as tx:
            await tx.execute(text(statement))


async def test_every_table_that_asks_for_it_is_append_only(database: Database) -> None:
    protected = {table.name for table in metadata.tables.values() if table.info.get("append_only")}
    catalog = "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'"
    if database.dialect == "postgresql":
        catalog = "SELECT tgrelid::regclass::text FROM pg_trigger WHERE tgname LIKE '%append_only'"
    async with database.transaction(read_only=True) as tx:
        found = {next(iter(row.values())) for row in await tx.rows(text(catalog))}
    assert "event" in protected
    assert found == protected


def test_a_table_can_be_changed_without_emptying_what_refers_to_it(tmp_path: Path) -> None:
    versions = tmp_path / "versions"
    versions.mkdir()
    shutil.copy(next(VERSIONS.glob("0001_*.py")), versions)
    (versions / "0002_change.py").write_text(
        """
import sqlalchemy as sa
from alembic import op
from mosaic.storage.migrations.operations import AppendOnlyOp
revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None
def upgrade():
    op.create_table("parent", sa.Column("id", sa.Integer, primary_key=True))
    op.create_table("child", sa.Column("id", sa.Integer, sa.ForeignKey("parent.id", ondelete="CASCADE")))
    op.execute("INSERT INTO parent VALUES (1)")
    op.execute("INSERT INTO child VALUES (1)")
    with op.batch_alter_table("parent") as batch:
        batch.add_column(sa.Column("more", sa.Text))
        batch.alter_column("id", existing_type=sa.Integer, type_=sa.BigInteger)
    with op.batch_alter_table("event") as batch:
        batch.alter_column("type", existing_type=sa.String, type_=sa.Text)
    op.invoke(AppendOnlyOp("event"))
""",
        encoding="utf-8",
    )
    database = Database(StorageSettings(f"sqlite:///{tmp_path}/m.db", tmp_path))
    upgrade(database.sync_engine, versions=versions)
    engine = database.sync_engine()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM child").scalar() == 1
        triggers = connection.exec_driver_sql(
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger'"
        ).scalar()
    engine.dispose()
    assert triggers == 2


def test_a_new_migration_is_written_from_the_tables(tmp_path: Path) -> None:
    file = autogenerate.write_revision("all tables", first=True, versions=tmp_path)
    written = file.read_text()
    assert file.name == "0001_all_tables.py"
    for table in metadata.tables:
        assert f'create_table("{table}"' in written.replace("'", '"').replace(
            "create_table(\n        ", "create_table("
        )
    assert "AppendOnlyOp('event')" in written


def test_sqlite_keeps_our_pragmas_on_every_connection(tmp_path: Path) -> None:
    database = Database(StorageSettings(f"sqlite:///{tmp_path}/m.db", tmp_path, synchronous="NORMAL"))
    engine = database.sync_engine()
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    engine.dispose()
    assert pragmas == {"journal_mode": "wal", "synchronous": 1, "foreign_keys": 1, "busy_timeout": 5000}
    assert isinstance(engine, sqlalchemy.Engine)
