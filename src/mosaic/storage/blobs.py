"""Content-addressed blobs: large values are kept once, under the hash of their bytes."""

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
from pathlib import Path
from typing import Protocol

from mosaic.core.errors import Damaged, InvalidInput, NotFound
from mosaic.core.values import content_hash
from mosaic.storage.errors import translate_os_error

__all__ = ["BlobStore", "FileBlobs", "MemoryBlobs", "checked_digest"]

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def checked_digest(digest: str) -> str:
    """Return the hexadecimal part; a digest comes from outside and becomes a file name.

    Raises:
        InvalidInput: if it is not one.
    """
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput(
            "That is not a blob digest.", hint="A digest is sha256: and 64 hexadecimal digits."
        )
    return digest.removeprefix("sha256:")


class BlobStore(Protocol):
    """Keeps bytes by their hash. Blobs never change, so writing one twice is the same as once."""

    async def put(self, data: bytes) -> str:
        """Keep `data` and return its digest, ``sha256:<hex>``; on return it survives a crash. Idempotent.

        Raises:
            StorageFull: if there is no room; nothing is kept.
        """

    async def get(self, digest: str) -> bytes:
        """Return the bytes of `digest`.

        Raises:
            NotFound: if there is no such blob.
            Damaged: if the bytes no longer have that hash.
        """

    async def exists(self, digest: str) -> bool:
        """Say whether the blob is kept."""

    async def close(self) -> None:
        """Give up what it holds open; the blobs stay."""


class MemoryBlobs:
    """Blobs in memory, for tests and for work that may be lost."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    async def put(self, data: bytes) -> str:
        """Keep `data`."""
        digest = content_hash(data)
        self._blobs[digest] = bytes(data)
        return digest

    async def get(self, digest: str) -> bytes:
        """Return the bytes of `digest`."""
        checked_digest(digest)
        try:
            return self._blobs[digest]
        except KeyError:
            raise NotFound(f"There is no blob {digest}.") from None

    async def exists(self, digest: str) -> bool:
        """Say whether the blob is kept."""
        checked_digest(digest)
        return digest in self._blobs

    async def close(self) -> None:
        """Nothing is open."""


class FileBlobs:
    """Blobs as files under one directory, two characters of the hash per folder."""

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        """Keep blobs in `directory`; `durable` waits for the disk, so that they survive a power cut."""
        self._directory = directory
        self._durable = durable

    async def put(self, data: bytes) -> str:
        """Keep `data`."""
        return await asyncio.to_thread(self._put, data)

    async def get(self, digest: str) -> bytes:
        """Return the bytes of `digest`."""
        return await asyncio.to_thread(self._get, digest)

    async def exists(self, digest: str) -> bool:
        """Say whether the blob is kept."""
        return await asyncio.to_thread(self._path(checked_digest(digest)).exists)

    async def close(self) -> None:
        """Nothing is open."""

    def _path(self, name: str) -> Path:
        return self._directory / name[:2] / name[2:]

    def _put(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()
        path = self._path(name)
        try:
            if not self._intact(path, len(data)):
                self._write(path, data)
        except OSError as error:
            raise translate_os_error(error, where=str(self._directory)) from error
        return f"sha256:{name}"

    def _intact(self, path: Path, size_bytes: int) -> bool:
        try:
            return path.stat().st_size == size_bytes
        except FileNotFoundError:
            return False

    def _write(self, path: Path, data: bytes) -> None:
        is_new = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with partial.open("xb") as file:
                file.write(data)
                file.flush()
                if self._durable:
                    os.fsync(file.fileno())
            partial.rename(path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        if self._durable:
            self._sync_directory(path.parent)
            if is_new:
                self._sync_directory(self._directory)

    def _sync_directory(self, directory: Path) -> None:
        handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _get(self, digest: str) -> bytes:
        path = self._path(checked_digest(digest))
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFound(f"There is no blob {digest}.") from None
        except OSError as error:
            raise translate_os_error(error, where=str(self._directory)) from error
        if content_hash(data) != digest:
            raise Damaged(
                f"The blob {digest} is damaged.", hint=f"Restore {path} from a backup.", digest=digest
            )
        return data
