"""A blob comes back as it was put, or not at all."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from mosaic.core.errors import Damaged, InvalidInput, NotFound, Unavailable
from mosaic.core.values import content_hash
from mosaic.storage import BlobStore, FileBlobs, MemoryBlobs

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return FileBlobs(tmp_path / "blobs") if request.param == "files" else MemoryBlobs()


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
