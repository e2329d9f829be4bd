"""Write the next migration from the tables of every room: ``python -m mosaic.storage.migrations.autogenerate "why"``.

``--first`` replaces the history by one new revision 0001 that holds every table; only before the first release.
The migration is worked out on an empty SQLite file that has had all older migrations, so it needs no server.
"""

import argparse
import importlib
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from alembic import command
from alembic.operations import ops
from sqlalchemy import pool

import mosaic
from mosaic.storage.columns import metadata
from mosaic.storage.engines import make_sync_engine
from mosaic.storage.migrations import VERSIONS, configuration
from mosaic.storage.migrations.operations import AppendOnlyOp
from mosaic.storage.settings import StorageSettings

__all__ = ["import_models", "write_revision"]


def import_models() -> list[str]:
    """Import ``mosaic.<room>.models`` of every room that has one, so that `metadata` is complete."""
    found = []
    for room in pkgutil.iter_modules(mosaic.__path__):
        if room.ispkg and (Path(mosaic.__path__[0]) / room.name / "models.py").is_file():
            importlib.import_module(f"mosaic.{room.name}.models")
            found.append(room.name)
    return found


def _complete(_context: Any, _revision: Any, directives: list[ops.MigrationScript]) -> None:
    """Add the append-only triggers: SQLite loses them when it makes a table anew to change it."""
    for script in directives:
        if script.upgrade_ops is None:
            continue
        touched = [
            op.table_name
            for op in script.upgrade_ops.ops
            if isinstance(op, ops.CreateTableOp | ops.ModifyTableOps)
        ]
        protected = {name for name in touched if metadata.tables[name].info.get("append_only")}
        script.upgrade_ops.ops.extend(AppendOnlyOp(name) for name in sorted(protected))


def write_revision(message: str, *, first: bool = False, versions: Path = VERSIONS) -> Path:
    """Write the migration that brings the newest revision up to the tables; return its file."""
    import_models()
    if first:
        for old in versions.glob("[0-9]*.py"):
            old.unlink()
    number = 1 + max((int(file.name[:4]) for file in versions.glob("[0-9]*.py")), default=0)
    with tempfile.TemporaryDirectory() as folder:
        settings = StorageSettings(f"sqlite:///{folder}/empty.db", Path(folder))
        engine = make_sync_engine(settings, poolclass=pool.NullPool)
        with engine.begin() as connection:
            config = configuration(connection, versions=versions)
            config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
            command.upgrade(config, "head")
            command.revision(
                config,
                message,
                rev_id=f"{number:04}",
                autogenerate=True,
                process_revision_directives=_complete,
            )
    return next(versions.glob(f"{number:04}_*.py"))


def main() -> None:
    """Read the arguments, write the migration, format it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("message")
    parser.add_argument("--first", action="store_true", help="replace the history by one revision")
    arguments = parser.parse_args()
    file = write_revision(arguments.message, first=arguments.first)
    subprocess.run([sys.executable, "-m", "ruff", "check", "--fix", "-q", file], check=False)  # noqa: S603  # our own file
    subprocess.run([sys.executable, "-m", "ruff", "format", "-q", file], check=False)  # noqa: S603  # our own file
    sys.stdout.write(f"{file}\n")


if __name__ == "__main__":
    main()
