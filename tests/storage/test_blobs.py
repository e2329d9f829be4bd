"""A blob comes back as it was put, or not at all."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from mosaic.core.errors import Damaged, InvalidInput, NotFound, Unavailable
from mosaic.core.values import content_hash
from mosaic.storage import (
    BlobStore,
    Database,
    DatabaseBlobs,
    FileBlobs,
    MemoryBlobs,
    StorageSettings,
    open_blobs,
)
from mosaic.storage.models import blob
from tests.conftest import _postgres_copy

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shared(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """A database on PostgreSQL."""
    with _postgres_copy(request, "mosaic_template") as url:
        database = Database(StorageSettings(url, tmp_path / "data"))
        yield database
        await database.close()


@pytest.fixture(params=["files", "memory", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BlobStore]:
    if request.param == "files":
        yield FileBlobs(tmp_path / "blobs")
    elif request.param == "memory":
        yield MemoryBlobs()
    else:
        with _postgres_copy(request, "mosaic_template") as url:
            database = Database(StorageSettings(url, tmp_path / "data"))
            store = open_blobs(database, tmp_path / "blobs")
            yield store
            await store.close()
            await database.close()


def files_in(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


@pytest.mark.requirement("ENT-26")
async def test_a_blob_comes_back_under_the_hash_of_its_bytes(store: BlobStore) -> None:
    digest = await store.put(b"some bytes")
    assert digest == content_hash(b"some bytes")
    assert await store.get(digest) == b"some bytes"
    assert await store.exists(digest)


async def test_the_same_bytes_are_one_blob_even_when_put_at_once(store: BlobStore, tmp_path: Path) -> None:
    digests = await asyncio.gather(*(store.put(b"x" * 100_000) for _ in range(10)))
    assert len(set(digests)) == 1
    assert await store.get(digests[0]) == b"x" * 100_000
    assert len(files_in(tmp_path)) <= 1


async def test_empty_bytes_are_a_blob(store: BlobStore) -> None:
    assert await store.get(await store.put(b"")) == b""


async def test_an_unknown_blob_is_not_found(store: BlobStore) -> None:
    digest = content_hash(b"never put")
    assert not await store.exists(digest)
    with pytest.raises(NotFound):
        await store.get(digest)


@pytest.mark.parametrize(
    "digest",
    ["", "sha256:../../../../etc/passwd", "sha256:" + "A" * 64, "md5:" + "0" * 64, "sha256:" + "0" * 65],
)
async def test_what_is_no_digest_never_becomes_a_path(store: BlobStore, digest: str) -> None:
    with pytest.raises(InvalidInput):
        await store.get(digest)
    with pytest.raises(InvalidInput):
        await store.exists(digest)


@pytest.mark.requirement("ENT-26")
async def test_damaged_bytes_are_reported_and_never_returned(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)
    digest = await store.put(b"good bytes")
    (file,) = files_in(tmp_path)
    file.write_bytes(b"evil bytes")
    with pytest.raises(Damaged, match=digest):
        await store.get(digest)


async def test_a_blob_cut_short_by_a_crash_is_written_again(tmp_path: Path) -> None:
    store = FileBlobs(tmp_path)
    digest = await store.put(b"good bytes")
    (file,) = files_in(tmp_path)
    file.write_bytes(b"good")
    assert await store.put(b"good bytes") == digest
    assert await store.get(digest) == b"good bytes"


async def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Unavailable, match="file"):
        await FileBlobs(tmp_path / "file" / "blobs").put(b"x")


def test_a_full_disk_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    # A file size limit meets the writer exactly as a full disk does: in the middle of the write.
    script = f"""
import asyncio, resource
from pathlib import Path
from mosaic.core.errors import StorageFull
from mosaic.storage import FileBlobs
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    asyncio.run(FileBlobs(Path({str(tmp_path)!r})).put(b"x" * 10_000))
except StorageFull as error:
    print(error.code)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "storage_full\n"
    assert files_in(tmp_path) == []


async def test_what_one_node_puts_another_with_a_folder_of_its_own_gets(
    shared: Database, tmp_path: Path
) -> None:
    one, other = open_blobs(shared, tmp_path / "one"), open_blobs(shared, tmp_path / "other")
    digests = await asyncio.gather(*(store.put(bytes(range(256)) * 4000) for store in (one, other)))
    assert digests[0] == digests[1]
    assert await other.get(digests[0]) == bytes(range(256)) * 4000
    assert not files_in(tmp_path)
    await one.close()
    assert await one.exists(digests[0])  # closing is no end
    await one.close()
    await other.close()


async def test_a_blob_that_an_earlier_version_kept_in_a_file_is_still_found(
    shared: Database, tmp_path: Path
) -> None:
    digest = await FileBlobs(tmp_path / "blobs").put(b"from before")
    store = open_blobs(shared, tmp_path / "blobs")
    assert await store.exists(digest)
    assert await store.get(digest) == b"from before"
    await store.close()


async def test_a_blob_can_be_put_while_the_caller_has_an_open_transaction(
    shared: Database, tmp_path: Path
) -> None:
    store = open_blobs(shared, tmp_path / "blobs")
    async with shared.transaction() as tx:
        digest = await store.put(b"inside")
        assert await tx.scalar(select(func.count()).select_from(blob)) == 1
    assert await store.get(digest) == b"inside"
    await store.close()


async def test_a_damaged_row_is_not_given_out(shared: Database, tmp_path: Path) -> None:
    store = open_blobs(shared, tmp_path / "blobs")
    digest = await store.put(b"as it was")
    async with shared.transaction() as tx:
        await tx.execute(update(blob).values(data=b"as it is"))
    with pytest.raises(Damaged):
        await store.get(digest)
    await store.close()


async def test_a_server_that_is_away_is_unavailable(tmp_path: Path) -> None:
    database = Database(StorageSettings("postgresql://nobody@127.0.0.1:1/none", tmp_path / "data"))
    store = DatabaseBlobs(database)
    with pytest.raises(Unavailable):
        await store.put(b"x")
    await store.close()
    await database.close()
