"""The audits of GraphQL over HTTP, by who wrote the specification: none of them fails, whatever its level."""

import asyncio
import fcntl
import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.app.site import WAIT_S, Site
from tests.gateway.agents.installation import MANIFESTS, NotInstalled, _npm, cache

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

FOLDER = Path(__file__).parent / "audits"
INSTALL_S = 120.0
AUDITS = 61


@pytest.fixture(scope="module")
def audits() -> tuple[str, Path]:
    """Node, and the folder of the audits with what they need: two packages, once, outside the repository."""
    lock = (FOLDER / "package-lock.json").read_bytes()
    folder = (
        cache()
        / f"graphql-audits-{hashlib.sha256(lock + (FOLDER / 'run.mjs').read_bytes()).hexdigest()[:16]}"
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        npm = _npm()
        with folder.with_suffix(".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not folder.is_dir():
                _install(npm, folder)
    except NotInstalled as error:
        pytest.fail(str(error), pytrace=False)
    return npm[0] if len(npm) > 1 else str(shutil.which("node")), folder


def _install(npm: list[str], folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="installing-") as name:
        made = Path(name) / "audits"
        made.mkdir()
        for file in (*MANIFESTS, "run.mjs"):
            shutil.copy(FOLDER / file, made)
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1")
        done = subprocess.run(
            [*npm, "ci", *quiet], cwd=made, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
        if done.returncode != 0:
            raise NotInstalled(f"npm said: {(done.stderr or done.stdout)[-1500:].strip()}")
        made.rename(folder)


async def test_the_audits_of_graphql_over_http_find_nothing(
    site: Site, token: str, audits: tuple[str, Path]
) -> None:
    node, folder = audits
    process = await asyncio.create_subprocess_exec(
        node, "run.mjs", f"{site.address}/api/v1/graphql", token,
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(WAIT_S):
        out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-1500:]
    found = json.loads(out)
    assert len(found) == AUDITS
    assert [audit for audit in found if audit["status"] != "ok"] == []
