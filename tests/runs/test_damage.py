"""What is broken ends a run instead of leaving it. One installation at a time in a process: these have their own."""

from pathlib import Path

import pytest
from sqlalchemy import update

from mosaic.storage import Database
from mosaic.storage.models import blob
from tests.app.site import open_site, settings_of
from tests.runs.test_runs import LISTEN

pytestmark = pytest.mark.anyio


async def damage(database: Database, digest: str, folder: Path) -> None:
    """Write something else where a blob is kept."""
    if database.dialect == "postgresql":
        async with database.transaction() as tx:
            await tx.execute(update(blob).where(blob.c.digest == digest).values(data=b"something else"))
        return
    name = digest.removeprefix("sha256:")
    file = folder / name[:2] / name[2:]
    file.chmod(0o600)
    file.write_bytes(b"something else")


async def test_a_definition_that_is_damaged_ends_the_run_instead_of_leaving_it(
    database: Database, tmp_path: Path
) -> None:
    settings = settings_of(tmp_path / "home", database.settings.url)
    async with open_site(settings, tmp_path) as site:
        run = await site.start("damaged", LISTEN)
        await site.happened(run["id"], "step.started")
    await damage(database, run["definition_hash"], tmp_path / "home" / "blobs")
    async with open_site(settings, tmp_path) as site:
        done = await site.finish(run["id"])
    assert (done["status"], done["error"]["code"]) == ("failed", "damaged")


async def test_a_folder_that_cannot_be_used_ends_the_run_too(database_url: str, tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home", database_url)
    async with open_site(settings, tmp_path) as site:
        (tmp_path / "home" / "workspaces").write_text("no folder")
        done = await site.finish((await site.start("blocked", "do:\n  - a: {run: 'true'}\n"))["id"])
    assert done["status"] == "failed"
    assert "Errno" in done["error"]["message"] or "cannot be" in done["error"]["message"]
