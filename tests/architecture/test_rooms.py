"""What the import contracts in pyproject.toml cannot say about rooms."""

import ast
import tomllib

from tests.architecture.sources import PACKAGE, ROOT, imports, python_files, shown, tree

PRIVATE = ("models", "repository")
# Alembic compares the migrated schema with every room's tables; it runs from the command line, never imported.
MIGRATIONS = "src/mosaic/storage/migrations/"


def foreign_rows(module: ast.Module, room: str) -> list[str]:
    """Imports of another room's tables or queries."""
    found = []
    for name, line in imports(module):
        parts = name.split(".")
        if len(parts) > 2 and parts[0] == "mosaic" and parts[1] != room and parts[2] in PRIVATE:
            found.append(f"line {line} imports {name}")
    return found


def test_rows_and_queries_stay_in_their_room():
    wrong = {
        shown(path): found
        for path in python_files("src/")
        if not shown(path).startswith(MIGRATIONS)
        and (found := foreign_rows(tree(path), path.relative_to(PACKAGE).parts[0]))
    }
    assert not wrong


def test_a_foreign_table_is_noticed():
    assert foreign_rows(ast.parse("from mosaic.runs.models import run"), "cost")
    assert foreign_rows(ast.parse("def f():\n    from mosaic.runs import repository"), "cost")
    assert not foreign_rows(ast.parse("from mosaic.cost.models import entry"), "cost")


def test_every_room_has_a_folder_of_tests():
    rooms = {path.name for path in PACKAGE.iterdir() if any(path.glob("*.py"))}
    assert rooms
    assert not sorted(room for room in rooms if not any((ROOT / "tests" / room).rglob("test_*.py")))


def test_every_provider_entry_point_leads_to_a_plugin_of_that_name():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, target in project["entry-points"]["mosaic.providers"].items():
        module, _, attribute = target.partition(":")
        assert (module, attribute) == (f"mosaic.plugins.{name}", "provider")
        assert (PACKAGE / "plugins" / name / "__init__.py").exists() or (
            PACKAGE / "plugins" / f"{name}.py"
        ).exists()
