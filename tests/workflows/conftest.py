"""A node with everything a workflow needs, on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mosaic.events import Bus, Journal
from mosaic.storage import BlobStore, Database

if TYPE_CHECKING:
    from tests.workflows.bench import Bench


@pytest.fixture
async def bench(
    database: Database, journal: Journal, bus: Bus, blobs: BlobStore, tmp_path: Path
) -> "AsyncIterator[Bench]":
    # Here and not above: the tests of the language need neither engine nor agents.
    from tests.workflows.bench import running_bench

    work = tmp_path / "work"
    work.mkdir()
    async with running_bench(database, journal, bus, blobs, data_dir=tmp_path / "data", work=work) as bench:
        yield bench
